# The stack beside a key and a bucket that the same apply makes: their ARN and name are not known when it is planned.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

resource "aws_kms_key" "this" {}

resource "aws_s3_bucket" "copies" {}

module "zookeeper" {
  source = "../.."

  cluster       = "orders"
  subnet_ids    = ["subnet-a", "subnet-b", "subnet-c"]
  kms_key_arn   = aws_kms_key.this.arn
  vpc_endpoints = { route_table_ids = ["rtb-1"] }
  settings      = { backup = { copy_bucket = aws_s3_bucket.copies.id } }
}
