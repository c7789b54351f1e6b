# What is still unknown when Terraform plans must not decide which resources there are.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { id = "copies" }
  }
}

run "a_key_and_a_bucket_of_the_same_apply" {
  module {
    source = "./tests/made_together"
  }

  assert {
    condition = alltrue([
      for name in ["BucketKey", "BackupsElsewhere", "SeeBackupsElsewhere"] :
      contains([for statement in jsondecode(module.zookeeper.node_policies.node).Statement : statement.Sid], name)
    ])
    error_message = "the role may use the key and the bucket that were made beside it"
  }
}
