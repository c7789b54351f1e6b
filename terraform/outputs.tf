output "group_name" {
  description = "The Auto Scaling group."
  value       = aws_autoscaling_group.this.name
}

output "group_arn" {
  description = "The group's ARN, with the id that a replaced group of the same name would not have."
  value       = aws_autoscaling_group.this.arn
}

output "bucket" {
  description = "The bucket of record, reports and backups."
  value       = local.bucket_name
}

output "log_group" {
  description = "The log group of the instances' journals."
  value       = aws_cloudwatch_log_group.this.name
}

output "security_group_ids" {
  description = "The instances' security groups, to be named where a client's own egress is restricted."
  value       = local.security_group_ids
}

output "role_name" {
  description = "The instances' role."
  value       = local.role_name
}

output "node_policies" {
  description = "What an instance must be allowed to do, by name: the policies to attach to a role of your own."
  value       = local.node_policies
}

output "client_port" {
  description = "The port that clients connect to."
  value       = local.ports.client
}

output "commands" {
  description = "What to type next: the addresses for a client's connect string, the size, a look at the instances, the ensemble's story and the boots' output (with zkboot, or with the AWS CLI alone)."
  value = {
    addresses  = "aws ec2 describe-instances --region ${local.region} --filters Name=tag:aws:autoscaling:groupName,Values=${local.name} Name=instance-state-name,Values=running --query 'Reservations[].Instances[].PrivateIpAddress' --output text"
    scale      = "aws autoscaling set-desired-capacity --region ${local.region} --auto-scaling-group-name ${local.name} --desired-capacity 5"
    instances  = "aws autoscaling describe-auto-scaling-groups --region ${local.region} --auto-scaling-group-names ${local.name} --query 'AutoScalingGroups[].Instances[]' --output table"
    activities = "aws autoscaling describe-scaling-activities --region ${local.region} --auto-scaling-group-name ${local.name} --max-items 10"
    story      = "zkboot logs --cluster ${var.cluster} --region ${local.region} --since 1h"
    boots      = "zkboot logs --cluster ${var.cluster} --region ${local.region} --since 1d --unit cloud-init-main"
    logs       = "aws logs tail ${aws_cloudwatch_log_group.this.name} --region ${local.region} --since 1h --follow"
    shell      = var.session_manager ? "aws ssm start-session --region ${local.region} --target INSTANCE-ID" : "none, as session_manager is false"
  }
}
