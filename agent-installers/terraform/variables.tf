variable "controller" {
  type        = string
  description = "Where to join, https://HOST:9443."
  validation {
    condition     = can(regex("^https://[A-Za-z0-9.:_\\[\\]-]+$", var.controller))
    error_message = "controller must look like https://HOST:9443."
  }
}

variable "pin" {
  type        = string
  description = "The controller's key, sha256//..., as its dashboard shows it."
  validation {
    condition     = can(regex("^sha256//[A-Za-z0-9+/=]+$", var.pin))
    error_message = "pin must look like sha256//..."
  }
}

variable "token" {
  type        = string
  sensitive   = true
  description = "A join token."
  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.token))
    error_message = "token must be a join token."
  }
}

variable "hosts" {
  type        = set(string)
  default     = []
  description = "Addresses of hosts that exist, reached over SSH."
}

variable "ssh_user" {
  type        = string
  default     = "root"
  description = "Must be root, or be allowed sudo without a password."
}

variable "ssh_private_key_file" {
  type        = string
  default     = null
  description = "A file; the SSH agent when left out."
}

variable "release" {
  type        = string
  default     = ""
  description = "Any change upgrades hosts to what the controller gives out."
}
