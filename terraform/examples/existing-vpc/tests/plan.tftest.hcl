mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  vpc_id      = "vpc-1"
  subnet_tags = { Tier = "private" }
  mail        = "ops@example.com"
}

run "plans" {
  command = plan

  assert {
    condition     = aws_sns_topic_subscription.mail.endpoint == "ops@example.com"
    error_message = "alarms go to the mail address that was given"
  }
}

run "says_that_no_subnet_has_the_tags" {
  command = plan

  override_data {
    target = data.aws_subnets.chosen
    values = { ids = [] }
  }

  expect_failures = [data.aws_subnets.chosen]
}
