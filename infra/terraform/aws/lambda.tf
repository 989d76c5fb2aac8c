locals {
  pepper_kind = try(var.pepper.key_arn, null) == null ? "secretsmanager" : "kms" # where there is one outside of Vault
  settings = merge(
    {
      KEYRAIL_STORE     = var.store
      KEYRAIL_EVENT_ARN = var.event_arn
    },
    var.store == "dynamodb" ? { KEYRAIL_DYNAMODB_TABLE = var.name } : {},
    var.pepper == null ? {} : {
      KEYRAIL_PEPPER        = local.pepper_kind
      KEYRAIL_PEPPER_SECRET = var.pepper.secret_name
    },
    var.vault == null ? {} : {
      VAULT_ADDR                  = var.vault.address
      VAULT_NAMESPACE             = var.vault.namespace
      VAULT_CACERT                = var.vault.cacert
      KEYRAIL_VAULT_MOUNT         = var.vault.mount
      KEYRAIL_VAULT_AUTH          = var.vault.auth
      KEYRAIL_VAULT_AUTH_MOUNT    = var.vault.auth_mount
      KEYRAIL_VAULT_JWT_FILE      = var.vault.jwt_file
      KEYRAIL_VAULT_AWS_SERVER_ID = var.vault.aws_server_id
      KEYRAIL_VAULT_AWS_REGION    = var.vault.aws_region
    },
  )
  own_settings = {
    for name in keys(local.functions) : name => {
      KEYRAIL_VAULT_ROLE     = var.vault == null ? null : "${var.vault.role_prefix}${name}"
      KEYRAIL_SECRETS_PREFIX = name == local.rotator ? var.secrets_prefix : null
    }
  }
}

resource "aws_lambda_function" "this" {
  for_each = local.functions

  function_name    = local.names[each.key]
  description      = "Keyrail: ${join(", ", each.value.routes[*].operation)}"
  role             = aws_iam_role.function[each.key].arn
  runtime          = "python3.13"
  handler          = "main.lambda_handler"
  architectures    = [var.architecture]
  filename         = "${var.dist}/${each.key}-${var.architecture}.zip"
  source_code_hash = filebase64sha256("${var.dist}/${each.key}-${var.architecture}.zip")
  memory_size      = max(each.value.memory_mb, var.memory_mb)
  timeout          = each.value.timeout_seconds
  layers           = var.layers
  publish          = true

  reserved_concurrent_executions = lookup(var.reserved_concurrency, each.key, -1)

  environment {
    variables = {
      for setting, value in merge(local.settings, local.own_settings[each.key], var.environment) :
      setting => value if value != null
    }
  }

  dynamic "snap_start" {
    for_each = var.snapstart ? [true] : []
    content {
      apply_on = "PublishedVersions"
    }
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  # Else the first call makes a log group without an end, or is denied.
  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function]
}

# What callers are pointed at: a version that is published whole, never one that is being changed.
resource "aws_lambda_alias" "live" {
  for_each = aws_lambda_function.this

  name             = "live"
  function_name    = each.value.function_name
  function_version = each.value.version
}
