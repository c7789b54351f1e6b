# Security groups, and VPC endpoints for those who want them. Each rule is a resource of its own: a change of one touches no other.

data "aws_subnets" "given" {
  filter {
    name   = "subnet-id"
    values = var.subnet_ids
  }

  lifecycle {
    postcondition {
      condition     = length(setsubtract(var.subnet_ids, self.ids)) == 0
      error_message = "subnet_ids: there is no ${join(", ", setsubtract(var.subnet_ids, self.ids))} in ${local.region}, account ${local.account}: correct the ids, or the region (AWS_REGION)."
    }
  }
}

# By count: the ids of subnets that are made in the same apply are not known yet, their number is.
data "aws_subnet" "given" {
  count = length(var.subnet_ids)
  id    = var.subnet_ids[count.index]

  depends_on = [data.aws_subnets.given]
}

locals {
  vpc_ids = distinct(data.aws_subnet.given[*].vpc_id)
  zones   = distinct(data.aws_subnet.given[*].availability_zone)

  own_security_group = length(var.security_group_ids) == 0
  security_group_ids = local.own_security_group ? aws_security_group.members[*].id : var.security_group_ids

  # An interface endpoint takes one subnet a zone.
  endpoint_subnets = [for ids in values({ for subnet in data.aws_subnet.given : subnet.availability_zone => subnet.id... }) : ids[0]]

  # The resolver, the time service and the instance metadata are not subject to security groups.
  endpoint_services = var.vpc_endpoints == null ? [] : concat(
    ["autoscaling", "ec2", "logs", "ssm"],
    var.session_manager ? ["ssmmessages"] : [],
  )
}

resource "aws_security_group" "members" {
  count = local.own_security_group ? 1 : 0

  name        = local.name
  description = "ZooKeeper ${var.cluster}: the members"
  vpc_id      = local.vpc_ids[0]
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(local.vpc_ids) == 1
      error_message = "subnet_ids are in ${length(local.vpc_ids)} VPCs (${join(", ", local.vpc_ids)}): name subnets of one."
    }
  }
}

resource "aws_vpc_security_group_ingress_rule" "members" {
  for_each = local.own_security_group ? local.ports : {}

  security_group_id            = aws_security_group.members[0].id
  referenced_security_group_id = aws_security_group.members[0].id
  description                  = "${each.key} port, from member to member"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "members" {
  for_each = local.own_security_group ? local.ports : {}

  security_group_id            = aws_security_group.members[0].id
  referenced_security_group_id = aws_security_group.members[0].id
  description                  = "${each.key} port, from member to member"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "client_groups" {
  for_each = local.own_security_group ? var.clients.security_groups : {}

  security_group_id            = aws_security_group.members[0].id
  referenced_security_group_id = each.value
  description                  = "client port, from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = local.ports.client
  to_port                      = local.ports.client
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "client_ranges" {
  for_each = local.own_security_group ? toset(var.clients.cidrs) : []

  security_group_id = aws_security_group.members[0].id
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
  description       = "client port"
  ip_protocol       = "tcp"
  from_port         = local.ports.client
  to_port           = local.ports.client
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "aws" {
  for_each = local.own_security_group ? toset(var.egress_cidrs) : []

  security_group_id = aws_security_group.members[0].id
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
  description       = "HTTPS to the APIs of AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = local.tags
}

resource "aws_security_group" "endpoints" {
  count = var.vpc_endpoints == null ? 0 : 1

  name        = "${local.name}-endpoints"
  description = "ZooKeeper ${var.cluster}: the VPC endpoints"
  vpc_id      = local.vpc_ids[0]
  tags        = merge(local.tags, { Name = "${local.name}-endpoints" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = var.vpc_endpoints == null ? 0 : length(local.security_group_ids)

  security_group_id            = aws_security_group.endpoints[0].id
  referenced_security_group_id = local.security_group_ids[count.index]
  description                  = "HTTPS from the members"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "endpoint_ranges" {
  for_each = toset(try(var.vpc_endpoints.cidrs, []))

  security_group_id = aws_security_group.endpoints[0].id
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
  description       = "HTTPS from others in the VPC"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = local.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each = toset(local.endpoint_services)

  vpc_id              = local.vpc_ids[0]
  service_name        = "com.amazonaws.${local.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.endpoint_subnets
  security_group_ids  = aws_security_group.endpoints[*].id
  private_dns_enabled = true
  tags                = merge(local.tags, { Name = "${local.name}-${each.value}" })
}

resource "aws_vpc_endpoint" "s3" {
  count = var.vpc_endpoints == null ? 0 : 1

  vpc_id            = local.vpc_ids[0]
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.vpc_endpoints.route_table_ids
  tags              = merge(local.tags, { Name = "${local.name}-s3" })
}
