#!/usr/bin/env bash
# Deploys: what-if, a question, the templates, the package, a smoke check. Needs az, curl and jq; signed in with az login.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage() {
  echo "usage: infra/deploy.sh --parameters FILE --location REGION [--package dist.zip] [--yes]" >&2
  exit 2
}
yes= parameters= location= package=dist.zip
while [ $# -gt 0 ]; do
  case "$1" in
    --yes) yes=1; shift ;;
    --parameters | --location | --package)
      [ $# -ge 2 ] || usage
      printf -v "${1#--}" %s "$2"
      shift 2 ;;
    *) usage ;;
  esac
done
[ -n "$parameters" ] && [ -n "$location" ] || usage
for tool in az curl jq; do
  command -v "$tool" > /dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
for file in "$parameters" "$package"; do
  [ -f "$file" ] || { echo "$file is not there; make package makes dist.zip, README.md of infra names the parameters" >&2; exit 1; }
done

what=(--name throughline --location "$location" --template-file infra/main.bicep --parameters "@$parameters")
az deployment sub what-if "${what[@]}"
if [ -z "$yes" ]; then
  read -r -p "Deploy this? [y/N] " answer
  [ "$answer" = y ] || { echo "nothing was changed"; exit 1; }
fi
outputs=$(az deployment sub create "${what[@]}" --query properties.outputs --output json)
of() { jq -er ".$1.value" <<< "$outputs"; }
group=$(of resourceGroupName) app=$(of functionAppName) host=$(of host) vault=$(of vaultName)

# The app takes a reference that does not resolve for the secret itself, so no code runs before the secrets are there.
secrets=$(az keyvault secret list --vault-name "$vault" --query '[].name' --output tsv)
for secret in github-app-private-key github-webhook-secret marker-key; do
  if ! grep -qx "$secret" <<< "$secrets"; then
    echo "secret $secret is not in vault $vault: put it there (infra/README.md), then run this again; the code was not pushed" >&2
    exit 1
  fi
done
az functionapp deployment source config-zip --resource-group "$group" --name "$app" --src "$package"

# A webhook without a signature must be refused by the handler: 401. Anything else: it does not run.
for _ in $(seq 30); do
  code=$(curl -s -o /dev/null -w '%{http_code}' --max-time 20 -X POST -H 'Content-Type: application/json' --data '{}' "https://$host/ingest/github" || true)
  if [ "$code" = 401 ]; then
    echo "it runs: https://$host/ (webhooks to https://$host/ingest/github)"
    exit 0
  fi
  sleep 10
done
echo "https://$host/ingest/github answered $code, not 401: look at the log stream: az webapp log tail --resource-group $group --name $app" >&2
exit 1
