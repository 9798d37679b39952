#!/bin/sh
# Runs Weir service engines on Kubernetes, by kubectl. The controller serves this file:
#   curl -fsSLk --pinnedpubkey PIN https://HOST:9443/install/kubernetes.sh | WEIR_TOKEN=T sh -s -- --controller https://HOST:9443 --pin PIN --image REGISTRY/weir-engine:VERSION
# Verbs: install (default) upgrade remove verify. Each is safe to repeat; --plan says what it would do and does nothing.
set -eu

SPACE=weir
NAME=weir-engine
ROLLOUT_WITHIN=${WEIR_ROLLOUT_WITHIN:-180s}

say() { printf '%-11s%s\n' "$1" "$2"; }
fail() { printf 'weir: %s\n' "$1" >&2; exit "${2:-1}"; }
usage() {
  cat <<'END'
usage: kubernetes.sh [install|upgrade|remove|verify] [--plan] [--kind daemonset|deployment] [--image REGISTRY/weir-engine:VERSION]
                     [--controller https://HOST:PORT] [--pin 'sha256//...'] [WEIR_TOKEN=T in the environment]
END
}

kube() { kubectl --namespace "$SPACE" "$@"; }
# The kind that runs, '' for none.
running_kind() { kube get daemonset,deployment "$NAME" --ignore-not-found --output name 2>/dev/null | sed -n 's|^\([a-z]*\)\.apps/.*|\1|p'; }

manifest() {
  curl -fsSk --pinnedpubkey "$PIN" --connect-timeout 5 --max-time 60 --proto '=https' "$CONTROLLER/install/kubernetes-$KIND.yaml" |
    sed "s|^\( *image:\) weir-engine\$|\1 $IMAGE|"
}

check_options() {
  case $CONTROLLER in https://?*) ;; *) fail "--controller https://HOST:PORT is missing" 2 ;; esac
  case $CONTROLLER in *[!A-Za-z0-9.:_/\[\]-]*) fail "--controller is no address" 2 ;; esac
  case $PIN in sha256//?*) ;; *) fail "--pin 'sha256//...' is missing: the controller's dashboard shows the whole command" 2 ;; esac
  case $IMAGE in
    '' | *[!A-Za-z0-9./:@_-]*) fail "--image REGISTRY/weir-engine:VERSION is missing or is no image: container.sh image makes it, podman push puts it there" 2 ;;
  esac
  case $KIND in daemonset | deployment) ;; *) fail "--kind must be daemonset or deployment" 2 ;; esac
  TEXT=$(manifest) || fail "cannot fetch the manifest from ${CONTROLLER#https://}: is it reached from here, and was 'make package' run there?"
  case $TEXT in *"image: $IMAGE"*) ;; *) fail "what ${CONTROLLER#https://} gave out is no manifest of an engine" ;; esac
}

wait_until_up() {
  kube rollout status "$(running_kind)/$NAME" --timeout "$ROLLOUT_WITHIN" >/dev/null || fail "not up in $ROLLOUT_WITHIN: kubectl -n $SPACE get pods, and their logs, say why"
}

install_engine() {
  check_options
  if [ -n "$PLAN" ]; then
    printf '%s\n' "$TEXT"
    return 0
  fi
  found=$(running_kind)
  if [ -n "$found" ] && [ "$found" != "$KIND" ]; then fail "a $found runs already: remove comes first"; fi
  if [ -z "$found" ] && [ -z "$TOKEN" ]; then fail "WEIR_TOKEN is missing: the controller's dashboard makes one (Fabric -> Add an engine)" 2; fi
  kubectl create namespace "$SPACE" --dry-run=client --output yaml | kubectl apply --filename - >/dev/null
  kube create configmap "$NAME" --from-literal "controller=$CONTROLLER" --dry-run=client --output yaml | kubectl apply --filename - >/dev/null
  # By standard input: in no command line.
  if [ -n "$TOKEN" ]; then
    printf '%s' "$TOKEN" | kube create secret generic "$NAME" --from-file=token=/dev/stdin --dry-run=client --output yaml | kubectl apply --filename - >/dev/null
  fi
  printf '%s\n' "$TEXT" | kubectl apply --filename - >/dev/null
  say applies "$KIND $SPACE/$NAME of $IMAGE"
  wait_until_up
  say up "every pod has joined $CONTROLLER"
}

upgrade_engine() {
  found=$(running_kind)
  [ -n "$found" ] || fail "nothing runs in namespace $SPACE: install comes first"
  KIND=$found
  : "${CONTROLLER:=$(kube get configmap "$NAME" --output 'jsonpath={.data.controller}')}"
  check_options
  if [ -n "$PLAN" ]; then
    printf '%s\n' "$TEXT"
    return 0
  fi
  printf '%s\n' "$TEXT" | kubectl apply --filename - >/dev/null
  if ! kube rollout status "$found/$NAME" --timeout "$ROLLOUT_WITHIN" >/dev/null; then
    kube rollout undo "$found/$NAME" >/dev/null
    fail "the new engines were not up in $ROLLOUT_WITHIN: the old ones run again"
  fi
  say upgrade "$found $SPACE/$NAME runs $IMAGE; up"
}

remove_engine() {
  if [ -n "$PLAN" ]; then
    say would "delete namespace $SPACE and all that is in it"
    return 0
  fi
  kubectl delete namespace "$SPACE" --ignore-not-found --wait >/dev/null
  say remove "namespace $SPACE is gone; nodes of a DaemonSet keep /var/lib/weir, the controller lists engines until you delete them there"
}

verify_engine() {
  found=$(running_kind)
  [ -n "$found" ] || fail "nothing runs in namespace $SPACE"
  wait_until_up
  for pod in $(kube get pods --selector app.kubernetes.io/name=weir-engine --output name); do
    kube exec "$pod" --container engine -- /opt/weir/weir-engine status >/dev/null || fail "$pod is not up: kubectl -n $SPACE logs $pod says why"
  done
  say verify "$found $SPACE/$NAME runs and every engine is up"
}

main() {
  VERB=install CONTROLLER='' PIN='' PLAN='' KIND=daemonset IMAGE='' TOKEN=${WEIR_TOKEN:-}
  unset WEIR_TOKEN
  while [ $# -gt 0 ]; do
    case $1 in
      install | upgrade | remove | verify) VERB=$1 ;;
      --controller | --pin | --kind | --image)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        case $1 in
          --controller) CONTROLLER=${2%/} ;;
          --pin) PIN=$2 ;;
          --kind) KIND=$2 ;;
          --image) IMAGE=$2 ;;
        esac
        shift
        ;;
      --plan) PLAN=1 ;;
      -h | --help) usage; exit 0 ;;
      *) usage >&2; exit 2 ;;
    esac
    shift
  done
  command -v kubectl >/dev/null 2>&1 || fail "kubectl is needed"
  case $VERB in
    install) install_engine ;;
    upgrade) upgrade_engine ;;
    remove) remove_engine ;;
    verify) verify_engine ;;
  esac
}

# At the very end: a download that was cut short runs nothing.
main "$@"
