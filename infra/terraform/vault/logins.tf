# One role a function and method. All give a short batch token, which leaves no lease, with the one policy of that
# function and without `default`.

locals {
  policy_names = { for name, policy in vault_policy.this : name => policy.name }
  for_method = {
    approle    = var.approle == null ? {} : local.policy_names
    kubernetes = var.kubernetes == null ? {} : local.policy_names
    aws        = var.aws == null ? {} : { for name in keys(var.aws.principal_arns) : name => local.policy_names[name] }
    jwt        = var.jwt == null ? {} : { for name in keys(var.jwt.bound_claims) : name => local.policy_names[name] }
  }
  backends = {
    for type, told in { approle = var.approle, kubernetes = var.kubernetes, aws = var.aws } :
    type => told.path if try(told.create_backend, false)
  }
}

resource "vault_auth_backend" "this" {
  for_each = local.backends

  namespace   = var.namespace
  type        = each.key
  path        = each.value
  description = "Keyrail's functions"
}

resource "vault_approle_auth_backend_role" "this" {
  for_each   = local.for_method.approle
  depends_on = [vault_auth_backend.this]

  namespace               = var.namespace
  backend                 = var.approle.path
  role_name               = each.value
  bind_secret_id          = true
  secret_id_bound_cidrs   = var.approle.secret_id_cidrs
  token_policies          = [each.value]
  token_no_default_policy = true
  token_type              = "batch"
  token_ttl               = var.token_ttl_seconds
  token_max_ttl           = var.token_ttl_seconds
  token_bound_cidrs       = var.token_bound_cidrs
}

resource "vault_kubernetes_auth_backend_config" "this" {
  count      = try(var.kubernetes.create_backend, false) ? 1 : 0
  depends_on = [vault_auth_backend.this]

  namespace            = var.namespace
  backend              = var.kubernetes.path
  kubernetes_host      = var.kubernetes.host
  kubernetes_ca_cert   = var.kubernetes.ca_certificate
  disable_local_ca_jwt = var.kubernetes.ca_certificate != null # it then asks with the token that it is shown
}

resource "vault_kubernetes_auth_backend_role" "this" {
  for_each   = local.for_method.kubernetes
  depends_on = [vault_auth_backend.this]

  namespace                        = var.namespace
  backend                          = var.kubernetes.path
  role_name                        = each.value
  audience                         = var.kubernetes.audience
  bound_service_account_names      = [lookup(var.kubernetes.service_account, each.key, replace(each.key, "_", "-"))]
  bound_service_account_namespaces = [var.kubernetes.namespace]
  token_policies                   = [each.value]
  token_no_default_policy          = true
  token_type                       = "batch"
  token_ttl                        = var.token_ttl_seconds
  token_max_ttl                    = var.token_ttl_seconds
  token_bound_cidrs                = var.token_bound_cidrs
}

resource "vault_aws_auth_backend_client" "this" {
  count      = try(var.aws.create_backend, false) ? 1 : 0
  depends_on = [vault_auth_backend.this]

  namespace                  = var.namespace
  backend                    = var.aws.path
  iam_server_id_header_value = var.aws.server_id
}

resource "vault_aws_auth_backend_role" "this" {
  for_each   = local.for_method.aws
  depends_on = [vault_auth_backend.this]

  namespace                = var.namespace
  backend                  = var.aws.path
  role                     = each.value
  auth_type                = "iam"
  bound_iam_principal_arns = var.aws.principal_arns[each.key]
  resolve_aws_unique_ids   = var.aws.resolve_ids
  token_policies           = [each.value]
  token_no_default_policy  = true
  token_type               = "batch"
  token_ttl                = var.token_ttl_seconds
  token_max_ttl            = var.token_ttl_seconds
  token_bound_cidrs        = var.token_bound_cidrs
}

resource "vault_jwt_auth_backend" "this" {
  count = try(var.jwt.create_backend, false) ? 1 : 0

  namespace          = var.namespace
  path               = var.jwt.path
  description        = "Keyrail's functions"
  oidc_discovery_url = var.jwt.discovery_url
  jwks_url           = var.jwt.jwks_url
  bound_issuer       = var.jwt.issuer
}

resource "vault_jwt_auth_backend_role" "this" {
  for_each   = local.for_method.jwt
  depends_on = [vault_jwt_auth_backend.this]

  namespace               = var.namespace
  backend                 = var.jwt.path
  role_name               = each.value
  role_type               = "jwt"
  user_claim              = var.jwt.user_claim
  bound_audiences         = var.jwt.audiences
  bound_claims            = var.jwt.bound_claims[each.key]
  token_policies          = [each.value]
  token_no_default_policy = true
  token_type              = "batch"
  token_ttl               = var.token_ttl_seconds
  token_max_ttl           = var.token_ttl_seconds
  token_bound_cidrs       = var.token_bound_cidrs
}
