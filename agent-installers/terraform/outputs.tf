output "user_data" {
  value       = local.user_data
  sensitive   = true
  description = "User-data (cloud-init) that makes a new machine an engine."
}
