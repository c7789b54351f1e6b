# An ensemble in a network of its own that has no way to the internet: the APIs of AWS are reached through VPC endpoints.
#
#   make ami && cd terraform/examples/new-vpc && terraform init && terraform apply

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

variable "cidr" {
  description = "The VPC's range. Each of three zones gets a sixteenth of it."
  type        = string
  default     = "10.0.0.0/16"
}

variable "desired_capacity" {
  description = "How many servers there are to be; null leaves it to whoever scales the group."
  type        = number
  default     = null
}

data "aws_availability_zones" "available" {
  # checkov:skip=CKV_AWS_394:subnets keep the zone that they were made in (ignore_changes below)
  state = "available"

  filter {
    name   = "zone-type"
    values = ["availability-zone"]
  }

  lifecycle {
    postcondition {
      condition     = length(self.names) >= 3
      error_message = "${self.id} has ${length(self.names)} zones for this account (${join(", ", self.names)}), and an ensemble outlives the loss of a zone in three only: choose another region (AWS_REGION)."
    }
  }
}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, 3)
  tags  = { Name = "zookeeper-${var.cluster}" }
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11:flow logs are the account's own practice, not an example's
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # the endpoints' private names need it
  tags                 = local.tags
}

resource "aws_subnet" "this" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.cidr, 4, count.index)
  tags              = local.tags

  lifecycle {
    ignore_changes = [availability_zone] # a zone that AWS opens one day must not move them
  }
}

# Nobody uses it, so it lets nothing through.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = local.tags
}

resource "aws_route_table" "this" {
  vpc_id = aws_vpc.this.id
  tags   = local.tags
}

resource "aws_route_table_association" "this" {
  count = length(local.zones)

  subnet_id      = aws_subnet.this[count.index].id
  route_table_id = aws_route_table.this.id
}

module "zookeeper" {
  source = "../.."

  cluster          = var.cluster
  subnet_ids       = aws_subnet.this[*].id
  vpc_endpoints    = { route_table_ids = [aws_route_table.this.id] }
  clients          = { cidrs = [var.cidr] }
  desired_capacity = var.desired_capacity
  data_volume      = { size = 20 }
}

output "commands" {
  description = "What to type next."
  value       = module.zookeeper.commands
}
