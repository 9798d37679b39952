terraform {
  required_version = ">= 1.4"
}

locals {
  user_data = templatefile("${path.module}/user-data.yaml", {
    controller = var.controller
    pin        = var.pin
    token      = var.token
  })
}

resource "terraform_data" "engine" {
  for_each = var.hosts
  # What removing needs has to be in here: nothing else can be seen then.
  input = {
    host = each.key
    user = var.ssh_user
    key  = var.ssh_private_key_file
  }

  connection {
    type        = "ssh"
    host        = self.input.host
    user        = self.input.user
    private_key = self.input.key == null ? null : file(self.input.key)
    agent       = self.input.key == null
  }

  # A file, because a command line shows in lists of processes.
  provisioner "file" {
    content     = var.token
    destination = "/dev/shm/weir-token"
  }

  provisioner "remote-exec" {
    inline = [
      "set -e; trap 'rm -f /dev/shm/weir-token /dev/shm/weir-install.sh' EXIT",
      "chmod 600 /dev/shm/weir-token",
      "curl -fsSLk --pinnedpubkey '${var.pin}' '${var.controller}/install.sh' -o /dev/shm/weir-install.sh",
      "sudo sh -c 'WEIR_TOKEN=$(cat /dev/shm/weir-token) sh /dev/shm/weir-install.sh --controller \"$0\" --pin \"$1\"' '${var.controller}' '${var.pin}'",
      "sudo /opt/weir/install.sh verify",
    ]
  }

  provisioner "remote-exec" {
    when   = destroy
    inline = ["sudo sh -c 'test ! -x /opt/weir/install.sh || /opt/weir/install.sh remove'"]
  }
}

resource "terraform_data" "release" {
  for_each         = var.release == "" ? [] : var.hosts
  triggers_replace = [var.release]
  depends_on       = [terraform_data.engine]

  connection {
    type        = "ssh"
    host        = each.key
    user        = var.ssh_user
    private_key = var.ssh_private_key_file == null ? null : file(var.ssh_private_key_file)
    agent       = var.ssh_private_key_file == null
  }

  provisioner "remote-exec" {
    inline = ["sudo /opt/weir/install.sh upgrade", "sudo /opt/weir/install.sh verify"]
  }
}
