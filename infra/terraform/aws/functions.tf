# What the repository says of its functions; nothing of it stands here a second time.

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}
data "aws_region" "here" {}

locals {
  repository = "${path.module}/../../.."
  functions = {
    for file in fileset("${local.repository}/functions", "*/function.yaml") :
    dirname(file) => yamldecode(file("${local.repository}/functions/${file}"))
  }
  names = { for name in keys(local.functions) : name => "${var.name}-${name}" }
  routes = merge([
    for name, function in local.functions : {
      for route in function.routes : route.operation => merge(route, { function = name })
    }
  ]...)

  rotator   = local.routes.rotate_due.function # the one that the clock and Secrets Manager call
  validator = local.routes.validate_key.function

  place = "${data.aws_region.here.name}:${data.aws_caller_identity.here.account_id}"
}
