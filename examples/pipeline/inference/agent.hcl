# Beside the inference service: `bao agent` (or `vault agent`) logs in as it and keeps its files new. api-key is its own key, tls.pem its certificate and key.
# VAULT_ADDR says where Vault is; the files lie in the agent's working directory.
auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

template_config {
  static_secret_render_interval = "1s" # a minute is enough where a grace lasts an hour
}

template {
  contents    = "{{ with secret \"keyrail-delivery/data/acme/inference\" }}{{ .Data.data.api_key }}{{ end }}"
  destination = "api-key"
  perms       = "0600"
}

template {
  contents    = <<EOT
{{ with pkiCert "pki/issue/inference" "common_name=inference.acme.svc" "ttl=1h" }}{{ .Cert }}{{ .Key }}{{ end }}
EOT
  destination = "tls.pem"
  perms       = "0600"
}

template {
  contents    = "{{ with secret \"pki/cert/ca\" }}{{ .Data.certificate }}{{ end }}"
  destination = "ca.pem"
  perms       = "0644"
}
