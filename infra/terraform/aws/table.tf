locals {
  table = jsondecode(file("${local.repository}/infra/aws/table.json"))
}

resource "aws_dynamodb_table" "keys" {
  count = var.store == "dynamodb" ? 1 : 0

  name                        = var.name
  billing_mode                = local.table.BillingMode
  hash_key                    = local.table.KeySchema[0].AttributeName
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = local.table.AttributeDefinitions
    content {
      name = attribute.value.AttributeName
      type = attribute.value.AttributeType
    }
  }

  dynamic "global_secondary_index" {
    for_each = local.table.GlobalSecondaryIndexes
    content {
      name            = global_secondary_index.value.IndexName
      hash_key        = global_secondary_index.value.KeySchema[0].AttributeName
      range_key       = global_secondary_index.value.KeySchema[1].AttributeName
      projection_type = global_secondary_index.value.Projection.ProjectionType
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.table.SSESpecification.Enabled
    kms_key_arn = var.table_kms_key_arn
  }
}
