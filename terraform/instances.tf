# What is launched: the image, the settings that it finds in its user data, the launch template.

data "aws_ec2_instance_type" "this" {
  instance_type = var.instance_type
}

locals {
  # A build for several regions or architectures names several images: "eu-west-1:ami-1,us-east-1:ami-2".
  manifest = var.ami.manifest == null ? null : jsondecode(file(var.ami.manifest))
  manifest_images = local.manifest == null ? [] : [
    for image in flatten([
      for build in local.manifest.builds : split(",", build.artifact_id) if build.packer_run_uuid == local.manifest.last_run_uuid
    ]) : trimprefix(image, "${local.region}:") if startswith(image, "${local.region}:")
  ]

  ami_filter = (
    var.ami.id != null ? { name = "image-id", values = [var.ami.id], remedy = "correct ami.id" } :
    var.ami.manifest != null ? { name = "image-id", values = local.manifest_images, remedy = "build it for this region, or correct ami.manifest" } :
    { name = "name", values = [var.ami.name], remedy = "run `make ami` for this region, or correct ami.name" }
  )
}

data "aws_ami_ids" "candidates" {
  owners = var.ami.owners
  # Whoever names an image means it, deprecated or not.
  include_deprecated = local.ami_filter.name == "image-id"

  filter {
    name = local.ami_filter.name
    # A manifest without an image for this region: a filter must not be empty, and this one matches nothing.
    values = length(local.ami_filter.values) > 0 ? local.ami_filter.values : ["none"]
  }
  filter {
    name   = "architecture"
    values = data.aws_ec2_instance_type.this.supported_architectures
  }
  filter {
    name   = "state"
    values = ["available"]
  }

  lifecycle {
    postcondition {
      condition = length(self.ids) > 0
      error_message = join("", [
        "There is no image with the ${local.ami_filter.name} ${join(", ", local.ami_filter.values)} for ${var.instance_type} ",
        "(${join(", ", data.aws_ec2_instance_type.this.supported_architectures)}) in ${local.region} that belongs to ",
        "${join(", ", var.ami.owners)}: ${local.ami_filter.remedy}, ami.owners or instance_type.",
      ])
    }
  }
}

data "aws_ami" "this" {
  owners             = var.ami.owners
  include_deprecated = true

  filter {
    name   = "image-id"
    values = [data.aws_ami_ids.candidates.ids[0]] # the newest
  }
}

locals {
  # In GiB; 0 where AWS does not say.
  image_size = max(0, [
    for device in data.aws_ami.this.block_device_mappings : try(tonumber(device.ebs["volume_size"]), 0)
    if device.device_name == data.aws_ami.this.root_device_name
  ]...)

  volume_mount  = "/var/lib/zookeeper"
  volume_device = "/dev/sdf"

  volumes = merge(
    { (data.aws_ami.this.root_device_name) = { size = var.root_volume.size, iops = null, throughput = null } },
    var.data_volume == null ? {} : { (local.volume_device) = var.data_volume },
  )

  settings = merge(var.settings, {
    cluster = var.cluster
    aws = merge(try(var.settings.aws, {}), {
      bucket    = local.bucket_name
      group     = local.name
      log_group = aws_cloudwatch_log_group.this.name
    })
    node = merge(try(var.settings.node, {}), {
      volume = var.data_volume == null ? null : local.volume_mount
    })
  })

  user_data = templatefile("${path.module}/../cloudinit/user-data.yaml.tftpl", { settings = local.settings })
}

resource "aws_launch_template" "this" {
  name                   = local.name
  description            = "ZooKeeper ${var.cluster}"
  image_id               = data.aws_ami.this.id
  instance_type          = var.instance_type
  key_name               = var.key_name
  user_data              = base64encode(local.user_data)
  vpc_security_group_ids = local.security_group_ids
  ebs_optimized          = true
  update_default_version = true
  tags                   = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.node.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled" # the group's name stands there
  }

  monitoring {
    enabled = true
  }

  dynamic "block_device_mappings" {
    for_each = local.volumes
    content {
      device_name = block_device_mappings.key
      ebs {
        volume_type           = "gp3"
        volume_size           = block_device_mappings.value.size
        iops                  = block_device_mappings.value.iops
        throughput            = block_device_mappings.value.throughput
        encrypted             = true
        kms_key_id            = var.kms_key_arn
        delete_on_termination = true
      }
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]
    content {
      resource_type = tag_specifications.value
      tags          = local.tags
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.user_data) < 16384
      error_message = "The user data are ${length(local.user_data)} bytes, EC2 takes 16384: shorten settings (zookeeper.extra, zookeeper.jvm_flags)."
    }

    # EC2 says so only when an instance is launched.
    precondition {
      condition     = local.image_size <= var.root_volume.size
      error_message = "The image ${data.aws_ami.this.id} has a root volume of ${local.image_size} GiB and root_volume.size is ${var.root_volume.size}: no instance would launch. Raise root_volume.size to ${local.image_size} or more, or name a smaller image."
    }
  }
}
