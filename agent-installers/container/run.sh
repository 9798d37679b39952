#!/bin/sh
# Fetches the engine from its controller, builds the image and starts it, joined. Needs podman or docker, and curl.
#   WEIR_CONTROLLER=https://HOST:9443 WEIR_PIN='sha256//...' WEIR_TOKEN=weir1... sh run.sh
set -eu

main() {
  : "${WEIR_CONTROLLER:?is missing: https://HOST:PORT of the controller}" "${WEIR_PIN:?is missing: sha256//... of its key}"
  : "${WEIR_TOKEN:?is missing: a join token}"
  engine=$(command -v podman || command -v docker) || { echo "weir: podman or docker is needed" >&2; exit 1; }
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) echo "weir: there is no engine for $(uname -m)" >&2; exit 1 ;;
  esac
  context=$(mktemp -d)
  trap 'rm -rf "$context"' EXIT
  for file in SHA256SUMS Containerfile "weir-base-linux-$arch.tar.gz" "weir-engine-linux-$arch.tar.gz"; do
    curl -fsSk --pinnedpubkey "$WEIR_PIN" -o "$context/$file" "$WEIR_CONTROLLER/install/$file"
  done
  (cd "$context" && sha256sum --check --ignore-missing --quiet SHA256SUMS)
  "$engine" build --build-arg ARCH="$arch" --tag weir-engine "$context"
  export WEIR_CONTROLLER WEIR_TOKEN
  # The names only: the values travel in the environment, where `ps` does not show them.
  "$engine" run --detach --name weir-engine --restart=always --network=host --cap-drop=ALL --cap-add=NET_BIND_SERVICE \
    --volume weir-engine:/var/lib/weir --env WEIR_CONTROLLER --env WEIR_TOKEN weir-engine
}

main "$@"
