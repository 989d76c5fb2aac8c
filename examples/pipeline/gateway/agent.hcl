# Beside Envoy: `bao agent` (or `vault agent`) logs in as it and keeps its files new. tls.pem is its certificate and key, ca.pem whom it trusts.
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

template {
  contents    = <<EOT
{{ with pkiCert "pki/issue/gateway" "common_name=gateway.acme.svc" "ttl=1h" }}{{ .Cert }}{{ .Key }}{{ end }}
EOT
  destination = "tls.pem"
  perms       = "0600"
}

template {
  contents    = "{{ with secret \"pki/cert/ca\" }}{{ .Data.certificate }}{{ end }}"
  destination = "ca.pem"
  perms       = "0644"
}
