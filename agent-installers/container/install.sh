#!/bin/sh
# Runs a Weir service engine as a container, by podman or docker. The controller serves this file:
#   curl -fsSLk --pinnedpubkey PIN https://HOST:9443/install/container.sh | sh -s -- --controller https://HOST:9443 --pin PIN --token T
# Verbs: install (default) upgrade remove verify, image (makes the image only), compose (the same by compose.yaml in this folder, which it
# fetches; again: upgrade). Each is safe to repeat; --plan says what it would do and does nothing.
set -eu

NAME=weir-engine
# Seconds until the controller must have called the engine up.
UP_WITHIN=${WEIR_UP_WITHIN:-20}

say() { printf '%-11s%s\n' "$1" "$2"; }
fail() { printf 'weir: %s\n' "$1" >&2; exit "${2:-1}"; }
usage() {
  cat <<'END'
usage: container.sh [install|upgrade|remove|verify|image|compose] [--plan]
                    [--controller https://HOST:PORT] [--pin 'sha256//...'] [--token T | WEIR_TOKEN=T]
END
}

exists() { "$ENGINE" inspect --type container "$NAME" >/dev/null 2>&1; }
label() { "$ENGINE" inspect --format "{{index .Config.Labels \"weir.$1\"}}" "$NAME"; }
is_up() { "$ENGINE" exec "$NAME" /opt/weir/weir-engine status >/dev/null 2>&1; }

wait_until_up() {
  deadline=$(($(date +%s) + UP_WITHIN))
  until is_up; do
    [ "$(date +%s)" -lt "$deadline" ] || fail "the container runs, but the engine is not up: $ENGINE logs $NAME says why"
    sleep 0.2
  done
}

fetch() {
  trouble=$(curl -fsSk --pinnedpubkey "$PIN" --connect-timeout 5 --max-time 300 --proto '=https' -o "$CONTEXT/$1" "$CONTROLLER/install/$1" 2>&1) || {
    case $? in
      7 | 28) fail "cannot reach controller at ${CONTROLLER#https://}: is port ${CONTROLLER##*:} open from this host?" ;;
      90) fail "the controller at ${CONTROLLER#https://} does not show the key that this command was made for: make a new command there" ;;
      22) fail "the controller at ${CONTROLLER#https://} has no engine for linux-$ARCH to give out: run 'make package' there" ;;
    esac
    fail "cannot fetch $CONTROLLER/install/$1: $trouble"
  }
}

build_image() {
  CONTEXT=$(mktemp -d)
  trap 'rm -rf "$CONTEXT"' EXIT
  trap 'exit 130' HUP INT TERM
  for file in SHA256SUMS Containerfile "weir-base-linux-$ARCH.tar.gz" "weir-engine-linux-$ARCH.tar.gz"; do fetch "$file"; done
  (cd "$CONTEXT" && sha256sum --check --ignore-missing --quiet SHA256SUMS) || fail "what came is broken: its checksum differs; run this again"
  "$ENGINE" build --quiet --file "$CONTEXT/Containerfile" --build-arg "ARCH=$ARCH" --tag "$NAME" "$CONTEXT" >/dev/null
}

# By name only: the values travel in the environment, where `ps` does not show them.
start_container() {
  export WEIR_CONTROLLER="$CONTROLLER" WEIR_TOKEN="$TOKEN"
  "$ENGINE" run --detach --name "$NAME" --restart=always --network=host --cap-drop=ALL --cap-add=NET_BIND_SERVICE \
    --security-opt=no-new-privileges --read-only --tmpfs /tmp --volume "$NAME:/var/lib/weir" \
    --label "weir.controller=$CONTROLLER" --label "weir.pin=$PIN" --env WEIR_CONTROLLER --env WEIR_TOKEN "$NAME" >/dev/null || {
    "$ENGINE" rm --force "$NAME" >/dev/null 2>&1 || true
    fail "$ENGINE could not start the container"
  }
}

install_engine() {
  if exists; then
    say joined "container $NAME is there already: nothing changed"
    [ -n "$PLAN" ] || is_up || fail "but it is not up: $ENGINE logs $NAME says why"
    return 0
  fi
  [ -n "$TOKEN" ] || fail "--token is missing: the controller's dashboard makes one (Fabric -> Add an engine)" 2
  if [ -n "$PLAN" ]; then
    say would "build image $NAME from $CONTROLLER, run it as container $NAME with volume $NAME on the host's network"
    return 0
  fi
  build_image
  say builds "image $NAME"
  start_container
  wait_until_up
  say up "the controller says OPER_UP"
}

upgrade_engine() {
  exists || fail "there is no container $NAME: install comes first"
  if [ -n "$PLAN" ]; then
    say would "build image $NAME from $CONTROLLER and start container $NAME anew; its volume stays"
    return 0
  fi
  before=$("$ENGINE" inspect --format '{{.Image}}' "$NAME")
  build_image
  if [ "$before" = "$("$ENGINE" image inspect --format '{{.Id}}' "$NAME")" ]; then
    say upgrade "image $NAME is what the controller gives out: nothing changed"
    return 0
  fi
  "$ENGINE" rm --force "$NAME" >/dev/null
  start_container
  wait_until_up
  say upgrade "container $NAME runs the new image; up"
}

remove_engine() {
  if [ -n "$PLAN" ]; then
    say would "remove container, volume and image $NAME"
    return 0
  fi
  if exists; then "$ENGINE" rm --force "$NAME" >/dev/null; fi
  "$ENGINE" volume rm "$NAME" >/dev/null 2>&1 || true
  "$ENGINE" rmi "$NAME" >/dev/null 2>&1 || true
  say remove "weir-engine is gone from this host; the controller lists it until you delete it there"
}

make_image() {
  if [ -n "$PLAN" ]; then
    say would "build image $NAME from $CONTROLLER"
    return 0
  fi
  build_image
  say builds "image $NAME"
}

# The engine of containers that the compose at hand starts them with: an image of the other one it would not find.
choose_compose() {
  if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    ENGINE=docker COMPOSE='docker compose'
  elif command -v podman >/dev/null && podman-compose version >/dev/null 2>&1; then
    ENGINE=podman COMPOSE=podman-compose
    version=$(podman-compose version 2>&1 | sed -n 's/^podman-compose[a-z]* version[: ]*//p' | head -n 1)
    case $version in 0.* | 1.0.[0-5]) fail "podman-compose $version cannot put a container on the host's network: 1.0.6 or newer is needed" ;; esac
  elif podman compose version >/dev/null 2>&1; then
    ENGINE=podman COMPOSE='podman compose'
  else
    fail "docker compose (with a docker that runs) or podman-compose is needed"
  fi
}

composed() { "$ENGINE" ps --quiet --filter label=com.docker.compose.project=weir --filter label=com.docker.compose.service=engine; }
image_id() { "$ENGINE" image inspect --format '{{.Id}}' "$NAME" 2>/dev/null || true; }

compose_engine() {
  if ! "$ENGINE" volume inspect weir_data >/dev/null 2>&1; then
    [ -n "$TOKEN" ] || fail "WEIR_TOKEN is missing: the controller's dashboard makes one (Fabric -> Add an engine)" 2
  fi
  if [ -n "$PLAN" ]; then
    say would "build image $NAME from $CONTROLLER, fetch compose.yaml unless it is here, and run $COMPOSE up"
    return 0
  fi
  before=$(image_id)
  build_image
  say builds "image $NAME"
  [ -f compose.yaml ] || { fetch compose.yaml && cp "$CONTEXT/compose.yaml" .; }
  export WEIR_CONTROLLER="$CONTROLLER" WEIR_TOKEN="$TOKEN"
  # Not every compose sees that a name stands for another image now.
  again=''
  if [ -n "$before" ] && [ "$before" != "$(image_id)" ]; then again=--force-recreate; fi
  # shellcheck disable=SC2086 # one word or two, and one or none
  trouble=$($COMPOSE --file compose.yaml up --detach $again 2>&1) || fail "$COMPOSE could not start it: $(printf '%s\n' "$trouble" | tail -n 1)"
  NAME=$(composed)
  [ -n "$NAME" ] || fail "$COMPOSE started no engine: $(printf '%s\n' "$trouble" | grep -i error | tail -n 1)"
  wait_until_up
  say up "the controller says OPER_UP"
}

verify_engine() {
  exists || fail "there is no container $NAME"
  is_up || fail "the engine is not up: $ENGINE logs $NAME says why"
  say verify "container $NAME runs and is up"
}

main() {
  VERB=install CONTROLLER='' PIN='' PLAN='' TOKEN=${WEIR_TOKEN:-}
  while [ $# -gt 0 ]; do
    case $1 in
      install | upgrade | remove | verify | image | compose) VERB=$1 ;;
      --controller | --pin | --token)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        case $1 in
          --controller) CONTROLLER=${2%/} ;;
          --pin) PIN=$2 ;;
          --token) TOKEN=$2 ;;
        esac
        shift
        ;;
      --plan) PLAN=1 ;;
      -h | --help) usage; exit 0 ;;
      *) usage >&2; exit 2 ;;
    esac
    shift
  done
  if [ "$VERB" = compose ]; then
    choose_compose
  else
    ENGINE=$(command -v podman || command -v docker) || fail "podman or docker is needed"
  fi
  case $(uname -m) in
    x86_64) ARCH=x64 ;;
    aarch64) ARCH=arm64 ;;
    *) fail "there is no engine for $(uname -m): x86_64 and aarch64 are known" ;;
  esac
  if exists; then : "${CONTROLLER:=$(label controller)}" "${PIN:=$(label pin)}"; fi
  case $VERB in
    install | upgrade | image | compose)
      case $CONTROLLER in https://?*) ;; *) fail "--controller https://HOST:PORT is missing" 2 ;; esac
      case $PIN in sha256//?*) ;; *) fail "--pin 'sha256//...' is missing: the controller's dashboard shows the whole command" 2 ;; esac
      ;;
  esac
  case $VERB in
    install) install_engine ;;
    upgrade) upgrade_engine ;;
    remove) remove_engine ;;
    verify) verify_engine ;;
    image) make_image ;;
    compose) compose_engine ;;
  esac
}

# At the very end: a download that was cut short runs nothing.
main "$@"
