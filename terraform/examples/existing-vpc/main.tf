# An ensemble in subnets that are there, for the clients of one security group, with settings of its own and alarms by mail.
#
#   terraform apply -var vpc_id=vpc-0123456789abcdef0 -var 'subnet_tags={Tier="private"}' -var mail=ops@example.com

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

# The region is the environment's (AWS_REGION), and so are the credentials.
provider "aws" {}

variable "cluster" {
  description = "The ensemble's name."
  type        = string
  default     = "example"
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_tags" {
  description = "Tags of the VPC's subnets to use: one subnet in each of three zones, with a way to the APIs of AWS."
  type        = map(string)
}

variable "mail" {
  description = "Who hears of alarms."
  type        = string
}

data "aws_subnets" "chosen" {
  tags = var.subnet_tags

  filter {
    name   = "vpc-id"
    values = [var.vpc_id]
  }

  lifecycle {
    postcondition {
      condition     = length(self.ids) > 0
      error_message = "${var.vpc_id} has no subnet with the tags ${jsonencode(var.subnet_tags)}: correct vpc_id or subnet_tags."
    }
  }
}

resource "aws_security_group" "clients" {
  # checkov:skip=CKV2_AWS_5:it is for the clients, which are not made here
  name        = "zookeeper-${var.cluster}-clients"
  description = "Clients of ZooKeeper ${var.cluster}: give it to what connects"
  vpc_id      = var.vpc_id
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:CloudWatch may not publish to a topic under AWS's own key, and alarms hold no secret
  name = "zookeeper-${var.cluster}-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.mail
}

module "zookeeper" {
  source = "../.."

  cluster         = var.cluster
  subnet_ids      = data.aws_subnets.chosen.ids
  clients         = { security_groups = { applications = aws_security_group.clients.id } }
  alarms          = { topic_arns = [aws_sns_topic.alarms.arn] }
  data_volume     = { size = 50, iops = 4000, throughput = 250 }
  session_manager = true

  settings = {
    ensemble  = { max_voters = 3 }
    zookeeper = { snap_count = 50000, extra = { "maxCnxns" = 1000 } }
  }
}

output "commands" {
  description = "What to type next."
  value       = module.zookeeper.commands
}
