# Nothing is made: the providers are mocked.
mock_provider "google" {}
mock_provider "archive" {}

variables {
  project_id       = "acme-keys"
  region           = "europe-west1"
  vault_address    = "https://vault.example.com:8200"
  public_functions = ["get_key", "issue_key", "list_keys", "read_config", "revoke_key", "rotate", "update_key", "validate_key", "write_config"]
  domain           = "keys.example.com"
}

run "each_operation_has_its_route_but_for_what_the_clock_calls" {
  command = apply

  assert {
    condition = toset([
      for rule in google_compute_url_map.this[0].path_matcher[0].route_rules :
      "${rule.match_rules[0].header_matches[0].exact_match} ${coalesce(rule.match_rules[0].full_path_match, rule.match_rules[0].path_template_match)}"
      ]) == toset([
      "GET /v1/keys/*", "POST /v1/keys", "POST /v1/keys/import", "GET /v1/keys", "GET /v1/config/**", "POST /v1/keys/*/revoke",
      "POST /v1/keys/*/rotate", "PATCH /v1/keys/*", "POST /v1/keys/validate", "PUT /v1/config/**",
    ])
    error_message = "Routes are those of function.yaml."
  }

  assert {
    condition = alltrue([
      for rule in google_compute_url_map.this[0].path_matcher[0].route_rules :
      rule.service == google_compute_backend_service.function["rotate"].id
      if rule.match_rules[0].path_template_match == "/v1/keys/*/rotate"
    ])
    error_message = "A route leads to the function that offers the operation."
  }

  assert {
    condition     = length(distinct(google_compute_url_map.this[0].path_matcher[0].route_rules[*].priority)) == 10
    error_message = "No two rules have one priority."
  }
}

run "without_a_domain_there_is_no_load_balancer" {
  command = plan

  variables {
    domain = null
  }

  assert {
    condition     = length(google_compute_backend_service.function) + length(google_compute_url_map.this) + length(google_compute_global_forwarding_rule.this) == 0
    error_message = "Nothing that is billed by the hour."
  }
}

run "a_load_balancer_must_reach_functions" {
  command = plan

  variables {
    ingress = "ALLOW_INTERNAL_ONLY"
  }

  expect_failures = [var.domain]
}

run "an_address_is_no_domain" {
  command = plan

  variables {
    domain = "https://keys.example.com"
  }

  expect_failures = [var.domain]
}
