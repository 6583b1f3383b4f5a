// Throughline in one subscription: a resource group with the app and what it stands on, and the right to read the
// subscriptions that it looks at. Management groups: managementgroup.bicep. The text of every parameter is in README.md.
targetScope = 'subscription'

@description('Short name; the names of all resources begin with it.')
@minLength(3)
@maxLength(11)
param name string = 'throughline'

@description('Azure region with Flex Consumption.')
param location string

@description('Resource group that is made, or used when it is there.')
param resourceGroupName string = 'rg-${name}'

@description('Tags for the resource group and what lies in it.')
param tags object = {}

@description('Which Azure.')
@allowed([
  'public'
  'usgovernment'
  'china'
])
param azureCloud string = 'public'

@description('Subscriptions to read, by id. Empty: the one that this is deployed to.')
param subscriptionIds array = []

@description('Management groups to read, by name. managementgroup.bicep gives the rights.')
param managementGroups array = []

@description('observe: decide and show, write nothing outside; approve: a person clicks; auto.')
@allowed([
  'observe'
  'approve'
  'auto'
])
param mode string = 'observe'

@description('Where another mode holds: owner/name=mode, separated by commas.')
param modeRepositories string = ''

@description('Who gets what nobody owns: @login or @org/team; empty: nobody.')
param fallbackOwner string = ''

@description('Write due dates and tickets into Defender for Cloud: grants a custom role that can do that and nothing else.')
param governanceWrite bool = false

@description('Number of the GitHub App.')
@minLength(1)
param githubAppId string

@description('REST address of GitHub, also of a GitHub Enterprise Server (https://host/api/v3).')
param githubApiUrl string = 'https://api.github.com'

@description('Prefix of identities; empty: derived from the address.')
param githubHostKey string = ''

@description('Installations to listen to, separated by commas; empty: all.')
param githubInstallations string = ''

@description('Entra application of the pages; empty: the pages refuse to serve.')
param authClientId string = ''

@description('Audience of Entra and GitHub tokens on /ingest/events; empty: only the shared key is taken.')
param eventsAudience string = ''

@description('Optional secrets that are in the vault: github-webhook-secret-previous, events-shared-key, evidence-key, github-user-token.')
param optionalSecrets array = []

@description('Container registries, by resource id: AcrPull on each, and an event for each push when events is true.')
param registryIds array = []

@description('Registry mirrors, host=mirror[/prefix], separated by commas.')
param registryMirrors string = ''

@description('Catalogue of declared origins, a path in the package; empty: none.')
param catalogueFile string = ''

@description('closed: nothing outside GitHub at githubApiUrl and the chosen cloud is asked, neither feeds nor other registries. open: the publishers of feeds and trusted roots, and public registries.')
@allowed([
  'open'
  'closed'
])
param egress string = azureCloud == 'public' && githubApiUrl == 'https://api.github.com' ? 'open' : 'closed'

@description('Whom to believe about attestations: tuf for what Sigstore and GitHub publish (not where egress is closed), files with trusted roots in the package, separated by commas; empty: signatures are not checked.')
param attestationRoots string = egress == 'open' ? 'tuf' : ''

@description('Folder of feed files in the package; empty: the publishers are asked, or nobody where egress is closed.')
param feedsDir string = ''

@description('Folder of OpenVEX documents in the package; empty: none. The policy says whose statements count.')
param vexDir string = ''

@description('Time between full readings.')
param resyncInterval string = '6h'

@description('Percent of a scope beyond which a reading retires nothing without a person; 0: no guard.')
@minValue(0)
@maxValue(100)
param retireShare int = 20

@description('Incoming webhook of a chat that is told once a day what is overdue and due within the week; empty: none is.')
@secure()
param reminderUrl string = ''

@description('What may be created on GitHub through one installation: per minute/per hour. GitHub documents 80/500; GitHub Enterprise Server has no limits by default.')
param githubContentLimits string = '80/500'

@description('When due readings are started, six fields, UTC.')
param resyncSchedule string = '0 */5 * * * *'

@description('OTLP/HTTP address of a collector for traces and measurements; empty: they are in the log only.')
param otlpEndpoint string = ''

@description('Share of the traces that are kept, 0 to 1.')
param traceShare string = '0.1'

@description('Event Grid subscriptions. Only true once the code answers: Event Grid asks it first.')
param events bool = false

@description('Service Bus tier. Private endpoints need Premium.')
@allowed([
  'Standard'
  'Premium'
])
param serviceBusTier string = 'Standard'

@description('Highest autoscale throughput of each Cosmos DB container, RU/s; 0: serverless.')
@minValue(0)
param cosmosMaxThroughput int = 0

@description('A virtual network with private endpoints; needs serviceBusTier Premium to close Service Bus too.')
param privateNetwork bool = false

@description('Address space of that network.')
param networkPrefix string = '10.60.0.0/16'

@description('Memory of one instance in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemory int = 2048

@description('Most instances of one function group.')
@minValue(40)
@maxValue(1000)
param maximumInstances int = 100

@description('Who gets the alerts by mail; empty: they are shown in Azure only.')
param alertEmails array = []

@description('Hours without a webhook after which silence is an alert.')
@allowed([
  6
  12
  24
  48
])
param silenceHours int = 24

@description('Monthly cost that raises an alert, in the currency of the account; 0: none.')
@minValue(0)
param budgetAmount int = 0

@description('First day of the budget, the first of a month, such as 2027-01-01.')
param budgetStart string = ''

var governanceActions = [
  'Microsoft.Security/assessments/governanceAssignments/read'
  'Microsoft.Security/assessments/governanceAssignments/write'
]
var readSubscriptions = empty(subscriptionIds) ? [
  subscription().subscriptionId
] : subscriptionIds
var groupScopes = [for group in managementGroups: 'mg:${group}']
var scopes = join(concat(readSubscriptions, groupScopes), ',')
var suffix = uniqueString(subscription().id, resourceGroupName)
var vaultName = '${take(name, 10)}${take(suffix, 10)}kv'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: resourceGroupName
  location: location
  tags: tags
}

module identity 'identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-${name}-${suffix}'
    location: location
    tags: tags
  }
}

module monitor 'monitor.bicep' = {
  name: 'monitor'
  scope: group
  params: {
    name: '${name}-${suffix}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
  }
}

module network 'network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: '${name}-${suffix}'
    location: location
    tags: tags
    prefix: networkPrefix
  }
}

module storage 'storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${take(suffix, 13)}tl'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    closed: privateNetwork
  }
}

module servicebus 'servicebus.bicep' = {
  name: 'servicebus'
  scope: group
  params: {
    name: 'sb-${name}-${suffix}'
    location: location
    tags: tags
    tier: serviceBusTier
    principalId: identity.outputs.principalId
    closed: privateNetwork && serviceBusTier == 'Premium'
  }
}

module cosmos 'cosmos.bicep' = {
  name: 'cosmos'
  scope: group
  params: {
    name: 'cosmos-${name}-${suffix}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    maxThroughput: cosmosMaxThroughput
    closed: privateNetwork
  }
}

module vault 'vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: vaultName
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    closed: privateNetwork
  }
}

module endpoints 'endpoints.bicep' = if (privateNetwork) {
  name: 'endpoints'
  scope: group
  params: {
    name: '${name}-${suffix}'
    location: location
    tags: tags
    azureCloud: azureCloud
    networkId: network.outputs.id
    subnetId: network.outputs.endpointSubnetId
    storageId: storage.outputs.id
    cosmosId: cosmos.outputs.id
    vaultId: vault.outputs.id
    serviceBusId: serviceBusTier == 'Premium' ? servicebus.outputs.id : ''
  }
}

module app 'functionapp.bicep' = {
  name: 'functionapp'
  scope: group
  params: {
    name: 'func-${name}-${suffix}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    subnetId: privateNetwork ? network.outputs.functionSubnetId : ''
    storageName: storage.outputs.name
    packageContainer: storage.outputs.packageContainer
    serviceBusHost: servicebus.outputs.host
    cosmosEndpoint: cosmos.outputs.endpoint
    cosmosDatabase: cosmos.outputs.database
    vaultUri: vault.outputs.uri
    optionalSecrets: optionalSecrets
    insightsConnection: monitor.outputs.connection
    authClientId: authClientId
    instanceMemory: instanceMemory
    maximumInstances: maximumInstances
    settings: {
      AZURE_CLOUD: azureCloud
      AZURE_SCOPES: scopes
      AZURE_TENANT_ID: tenant().tenantId
      AZURE_ARM_URL: ''
      CATALOGUE_FILE: catalogueFile
      ATTESTATION_ROOTS: attestationRoots
      EVENTS_AUDIENCE: eventsAudience
      FALLBACK_OWNER: fallbackOwner
      EGRESS: egress
      FEEDS_DIR: feedsDir
      VEX_DIR: vexDir
      GITHUB_API_URL: githubApiUrl
      GITHUB_APP_ID: githubAppId
      GITHUB_HOST_KEY: githubHostKey
      GITHUB_INSTALLATIONS: githubInstallations
      MODE: mode
      MODE_REPOSITORIES: modeRepositories
      OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
      REGISTRY_MIRRORS: registryMirrors
      RESYNC_INTERVAL: resyncInterval
      REMINDER_URL: reminderUrl
      GITHUB_CONTENT_LIMITS: githubContentLimits
      RETIRE_SHARE: string(retireShare)
      RESYNC_SCHEDULE: resyncSchedule
      TRACE_SHARE: traceShare
    }
  }
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    name: '${name}-${suffix}'
    location: location
    tags: tags
    emails: alertEmails
    insightsId: monitor.outputs.insightsId
    serviceBusId: servicebus.outputs.id
    cosmosId: cosmos.outputs.id
    silenceHours: silenceHours
    budgetAmount: budgetAmount
    budgetStart: budgetStart
  }
}

module access 'access.bicep' = [for id in readSubscriptions: {
  name: 'throughline-access-${id}'
  scope: subscription(id)
  params: {
    principalId: identity.outputs.principalId
    governanceActions: governanceWrite ? governanceActions : []
  }
}]

resource keys 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
  scope: group
}

module resourceEvents 'events.bicep' = if (events) {
  name: 'events'
  scope: group
  params: {
    name: 'evgt-${name}-${suffix}'
    tags: tags
    endpoint: 'https://${app.outputs.host}/ingest/events'
    key: keys.getSecret('events-shared-key')
  }
}

module registries 'registry.bicep' = [for id in registryIds: {
  name: 'throughline-registry-${uniqueString(id)}'
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    name: last(split(id, '/'))
    principalId: identity.outputs.principalId
  }
}]

module registryEvents 'registryevents.bicep' = [for id in registryIds: if (events) {
  name: 'throughline-registry-events-${uniqueString(id)}'
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    name: last(split(id, '/'))
    tags: tags
    endpoint: 'https://${app.outputs.host}/ingest/events'
    key: keys.getSecret('events-shared-key')
  }
}]

@description('Name of the resource group.')
output resourceGroupName string = group.name

@description('Name of the function app: where the package is pushed to.')
output functionAppName string = app.outputs.name

@description('Host name: webhooks go to https://<host>/ingest/github.')
output host string = app.outputs.host

@description('Name of the vault: where the secrets go.')
output vaultName string = vault.outputs.name

@description('Object id of the identity: for managementgroup.bicep.')
output principalId string = identity.outputs.principalId
