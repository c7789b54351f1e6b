# The golden image: Debian 13, Java, ZooKeeper and zkboot, ready to be launched by an Auto Scaling group.
# `make ami` prepares build/ami/ (zkboot's wheel, its dependencies) and runs this; README.md tells the rest.

locals {
  root           = abspath("${path.root}/..")
  payload        = "${local.root}/build/ami"
  remote         = "/tmp/zkboot-image" # 90-clean.sh removes it
  debian         = { x86_64 = "amd64", arm64 = "arm64" }[var.architecture]
  instance_type  = var.instance_type != "" ? var.instance_type : { x86_64 = "t3.small", arm64 = "t4g.small" }[var.architecture]
  zkboot_version = regex("__version__ = \"([^\"]+)\"", file("${local.root}/zkboot/__init__.py"))[0]
  built          = formatdate("YYYYMMDD'T'hhmmss'Z'", timestamp())

  # By name is by age: what varies stands behind the time.
  name = "zkboot-${var.architecture}-${local.built}-zookeeper-${var.zookeeper_version}"

  apache = "https://archive.apache.org/dist/zookeeper/zookeeper-${var.zookeeper_version}/apache-zookeeper-${var.zookeeper_version}-bin.tar.gz"

  # Debian's image has no agent of Session Manager.
  session_manager = <<-END
    #!/bin/sh
    set -eu
    curl --fail --silent --show-error --location --retry 5 --output /tmp/amazon-ssm-agent.deb \
      https://s3.${var.region}.amazonaws.com/amazon-ssm-${var.region}/latest/debian_${local.debian}/amazon-ssm-agent.deb
    dpkg --install /tmp/amazon-ssm-agent.deb
    rm /tmp/amazon-ssm-agent.deb
  END

  tags = merge(var.tags, {
    Name                = local.name
    "zkboot:version"    = local.zkboot_version
    "zkboot:revision"   = var.revision
    "zkboot:zookeeper"  = var.zookeeper_version
    "zkboot:java"       = "${var.java_version}"
    "zkboot:built"      = local.built
    "zkboot:source-ami" = "{{ .SourceAMI }}"
  })
}

source "amazon-ebs" "zookeeper" {
  region                 = var.region
  custom_endpoint_ec2    = var.endpoint
  skip_region_validation = var.skip_region_validation

  source_ami = var.source_ami
  source_ami_filter {
    owners      = [var.source_owner]
    most_recent = true
    filters = {
      name                = var.source_name != "" ? var.source_name : "debian-13-${local.debian}-*"
      architecture        = var.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # The builder: gone when it is shut down, however the build ends.
  instance_type               = local.instance_type
  shutdown_behavior           = "terminate"
  subnet_id                   = var.subnet_id
  associate_public_ip_address = var.connection == "public_ip" ? true : null
  iam_instance_profile        = var.instance_profile
  user_data                   = var.connection == "session_manager" ? local.session_manager : null
  run_tags                    = { Name = "zkboot image builder" }
  run_volume_tags             = { Name = "zkboot image builder" }
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.root_gib
    delete_on_termination = true
  }

  communicator                              = "ssh"
  ssh_username                              = "admin"
  ssh_interface                             = var.connection
  ssh_timeout                               = "10m"
  temporary_key_pair_type                   = "ed25519"
  temporary_security_group_source_public_ip = var.connection == "public_ip"

  # The image.
  ami_name           = local.name
  ami_description    = "ZooKeeper ${var.zookeeper_version} with zkboot ${local.zkboot_version} on Debian 13 (${var.architecture})"
  encrypt_boot       = true
  kms_key_id         = var.kms_key_id
  imds_support       = "v2.0"
  ena_support        = true
  ami_users          = var.users
  snapshot_users     = var.users
  ami_regions        = var.copy_regions
  region_kms_key_ids = { for region in var.copy_regions : region => lookup(var.copy_kms_key_ids, region, "") }
  deprecate_at       = var.deprecate_days > 0 ? timeadd(timestamp(), "${var.deprecate_days * 24}h") : null
  tags               = local.tags
  snapshot_tags      = local.tags
}

build {
  sources = ["source.amazon-ebs.zookeeper"]

  # Fetched here, checked in the builder: a builder in a private subnet needs no way to Apache.
  provisioner "shell-local" {
    command = "${path.root}/fetch-tarball ${local.payload}"
    environment_vars = [
      "TARBALL=${var.zookeeper_tarball != "" ? var.zookeeper_tarball : local.apache}",
      "SIGNATURE=${var.zookeeper_signature}",
      "KEYS=${var.zookeeper_keys}",
    ]
  }

  provisioner "shell" {
    inline = ["mkdir --mode=0700 ${local.remote}"]
  }
  provisioner "file" {
    sources = [
      "${path.root}/files", "${path.root}/provision",
      "${path.root}/zookeeper/logback.xml", "${path.root}/zookeeper/class_archive.py",
      "${local.root}/LICENSE", "${local.root}/NOTICE",
    ]
    destination = "${local.remote}/"
  }
  provisioner "file" {
    source      = local.payload
    destination = "${local.remote}/"
    generated   = true
  }

  provisioner "shell" {
    scripts         = [for script in sort(fileset(abspath("${path.root}/provision"), "[0-9]*.sh")) : "${path.root}/provision/${script}"]
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "IMAGE=${local.remote}",
      "ZOOKEEPER_VERSION=${var.zookeeper_version}",
      "ZOOKEEPER_SHA512=${var.zookeeper_sha512}",
      "ZOOKEEPER_KEY=${var.zookeeper_key}",
      "JAVA_VERSION=${var.java_version}",
      "ZKBOOT_VERSION=${local.zkboot_version}",
      "REVISION=${var.revision}",
      "http_proxy=${var.http_proxy}",
    ]
  }

  post-processor "manifest" {
    output     = "${local.root}/build/ami.json"
    strip_path = true
    custom_data = {
      name         = local.name
      architecture = var.architecture
      zookeeper    = var.zookeeper_version
      zkboot       = local.zkboot_version
      revision     = var.revision
    }
  }
}
