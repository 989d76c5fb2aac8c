# One address for all operations, by method and path as in function.yaml: a global load balancer, where a domain is given.
# What only the clock calls is not offered there.

locals {
  edge = var.domain == null ? {} : local.functions
  routes = flatten([
    for name in sort(keys(local.edge)) : [
      for route in local.edge[name].routes : merge(route, { function = name }) if route.schedule == null
    ]
  ])
}

resource "google_compute_region_network_endpoint_group" "function" {
  for_each = local.edge

  project               = var.project_id
  region                = var.region
  name                  = each.value.id
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloudfunctions2_function.this[each.key].name
  }
}

resource "google_compute_backend_service" "function" {
  for_each = local.edge

  project               = var.project_id
  name                  = each.value.id
  protocol              = "HTTPS"
  load_balancing_scheme = "EXTERNAL_MANAGED"

  backend {
    group = google_compute_region_network_endpoint_group.function[each.key].id
  }
}

resource "google_compute_url_map" "this" {
  count = var.domain == null ? 0 : 1

  project         = var.project_id
  name            = var.name
  default_service = local.unrouted

  host_rule {
    hosts        = [var.domain]
    path_matcher = "operations"
  }

  path_matcher {
    name            = "operations"
    default_service = local.unrouted

    dynamic "route_rules" {
      for_each = { for index, route in local.routes : index => route }

      content {
        priority = route_rules.key + 1
        service  = google_compute_backend_service.function[route_rules.value.function].id

        match_rules {
          full_path_match     = strcontains(route_rules.value.path, "{") ? null : route_rules.value.path
          path_template_match = strcontains(route_rules.value.path, "{") ? replace(replace(route_rules.value.path, "{name}", "**"), "/\\{\\w+\\}/", "*") : null

          header_matches {
            header_name = ":method"
            exact_match = route_rules.value.method
          }
        }
      }
    }
  }
}

locals {
  # Some function, whichever: each answers 404 to a path that is not its own.
  unrouted = try(google_compute_backend_service.function[sort(keys(local.edge))[0]].id, null)
}

resource "google_compute_managed_ssl_certificate" "this" {
  count = var.domain == null ? 0 : 1

  project = var.project_id
  name    = "${var.name}-${substr(sha256(var.domain), 0, 8)}" # another domain is another certificate, made before the old one goes

  managed {
    domains = [var.domain]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "this" {
  count = var.domain == null ? 0 : 1

  project         = var.project_id
  name            = var.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  count = var.domain == null ? 0 : 1

  project          = var.project_id
  name             = var.name
  url_map          = google_compute_url_map.this[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.this[0].id]
  ssl_policy       = google_compute_ssl_policy.this[0].id
}

resource "google_compute_global_address" "this" {
  count = var.domain == null ? 0 : 1

  project = var.project_id
  name    = var.name
}

resource "google_compute_global_forwarding_rule" "this" {
  count = var.domain == null ? 0 : 1

  project               = var.project_id
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this[0].id
}
