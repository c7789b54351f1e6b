# Where the instances' journals go.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/zkboot/${var.cluster}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags
}
