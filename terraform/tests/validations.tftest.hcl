# Each validation of a variable refuses what it is there for. A run costs seconds and a variable says no for itself, so a run
# gives many variables a bad value each.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  cluster    = "orders"
  subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "first" {
  command = plan

  variables {
    cluster             = "a-name-of-forty-one-characters-is-too-long"
    subnet_ids          = []
    min_zones           = 0
    clients             = { cidrs = ["10.0.0.0/16", "everywhere"] }
    egress_cidrs        = ["10.0.0.0"]
    vpc_endpoints       = { route_table_ids = [] }
    desired_capacity    = 2.5
    ami                 = { id = "zookeeper" }
    root_volume         = { size = 4 }
    data_volume         = { size = 0 }
    settings            = { zookeeper = { tickTime = 2000 } } # as in zoo.cfg: zkboot calls it tick_time
    termination_timeout = 29
    instance_refresh    = { checkpoint_percentages = [50, 20, 100] }
    bucket              = { create = false }
    kms_key_arn         = "arn:aws:kms:eu-west-1:123456789012:alias/orders"
    role                = { name = "mine", permissions_boundary = "arn:aws:iam::123456789012:policy/limits" }
    log_retention_days  = 8
    tags                = { "cost center" = "7" }
  }

  expect_failures = [
    var.cluster,
    var.subnet_ids,
    var.min_zones,
    var.clients,
    var.egress_cidrs,
    var.vpc_endpoints,
    var.desired_capacity,
    var.ami,
    var.root_volume,
    var.data_volume,
    var.settings,
    var.termination_timeout,
    var.instance_refresh,
    var.bucket,
    var.kms_key_arn,
    var.role,
    var.log_retention_days,
    var.tags,
  ]
}

run "second" {
  command = plan

  variables {
    cluster          = "Orders"
    subnet_ids       = ["subnet-a", "subnet-a", "subnet-b"]
    desired_capacity = 10
    ami              = { id = "ami-00000001", manifest = "tests/mocks/ami.json" }
    data_volume      = { size = 20, iops = 100 }
    settings         = { zoo = { tick_time = 2000 } }
    instance_refresh = { checkpoint_percentages = [50, 101] }
    bucket           = { name = "Orders_Bucket" }
    tags             = { "aws:team" = "7" }
  }

  expect_failures = [
    var.cluster,
    var.subnet_ids,
    var.desired_capacity,
    var.ami,
    var.data_volume,
    var.settings,
    var.instance_refresh,
    var.bucket,
    var.tags,
  ]
}

run "third" {
  command = plan

  variables {
    cluster          = ""
    desired_capacity = 0 # and min_size is 1
    ami              = { manifest = "tests/mocks/nothing.json" }
    data_volume      = { size = 20, throughput = 2000 }
    settings         = { aws = { bucket = "mine" } }
    bucket           = { name = "xn--orders" }
    tags             = { Name = "7" }
  }

  expect_failures = [
    var.cluster,
    var.desired_capacity,
    var.ami,
    var.data_volume,
    var.settings,
    var.bucket,
    var.tags,
  ]
}

run "fourth" {
  command = plan

  variables {
    min_size = 4
    max_size = 2
    settings = { zookeeper = { tick_time = "fast" } }
    bucket   = { name = "orders--x-s3" }
  }

  expect_failures = [var.min_size, var.max_size, var.settings, var.bucket]
}

run "fifth" {
  command = plan

  variables {
    initial_size = 0
    settings     = { zookeeper = { jvm_flags = "-Xss1m" } }
    bucket       = { undo_days = 1 }
  }

  expect_failures = [var.initial_size, var.settings, var.bucket]
}

run "sixth" {
  command = plan

  variables {
    min_size = -1
    max_size = 9.5
    settings = { tick_time = 2000 }
  }

  expect_failures = [var.min_size, var.max_size, var.settings]
}

run "seventh" {
  command = plan

  variables {
    data_volume   = { size = 20, iops = 16000, throughput = 1000 }
    settings      = { backup = { prefix = "backups/*/" } }
    vpc_endpoints = { route_table_ids = ["rtb-1"], cidrs = ["everyone"] }
  }

  expect_failures = [var.data_volume, var.settings, var.vpc_endpoints]
}

run "more_throughput_than_iops_bear" {
  command = plan

  variables {
    data_volume = { size = 1000, throughput = 1000 }
  }

  expect_failures = [var.data_volume]
}

run "backups_beside_the_record" {
  command = plan

  variables {
    settings = { backup = { prefix = "control/orders/" } }
  }

  expect_failures = [var.settings]
}

# What looks at another variable stays silent while that one is refused: hence these by themselves.

run "a_disk_that_is_never_too_full" {
  command = plan

  variables {
    alarms = { disk_percent = 100 }
  }

  expect_failures = [var.alarms]
}

run "no_time_for_a_backup" {
  command = plan

  variables {
    alarms   = { backup_age = 0 }
    settings = { backup = { interval = 0 } }
  }

  expect_failures = [var.alarms]
}

run "never_a_fresh_backup" {
  command = plan

  variables {
    settings = { backup = { interval = 604800 } }
  }

  expect_failures = [var.alarms]
}

run "launch_timeout_beyond_aws" {
  command = plan

  variables {
    launch_timeout = 7201
  }

  expect_failures = [var.launch_timeout]
}

run "launch_timeout_within_a_boot" {
  command = plan

  variables {
    launch_timeout = 1800
  }

  expect_failures = [var.launch_timeout]
}

run "launch_timeout_within_a_boot_by_the_settings" {
  command = plan

  variables {
    settings = { timing = { bootstrap_timeout = 4000 } }
  }

  expect_failures = [var.launch_timeout]
}
