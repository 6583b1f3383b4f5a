// The queues between the stages: those of queues.json. requiresSession and requiresDuplicateDetection cannot be changed
// in place; README.md says how to change them.
param name string
param location string
param tags object
param tier string
param principalId string
param closed bool

// Data Owner, not Sender and Receiver: only with the right to manage can the host see how long a queue is and scale by it.
var dataOwner = '090c5cfd-751d-490a-894a-3ce6f1109419'
var queues = loadJsonContent('queues.json').queues

resource namespace 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: tier
    tier: tier
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: closed ? 'Disabled' : 'Enabled'
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview' = [for q in queues: {
  parent: namespace
  name: q.name
  properties: {
    deadLetteringOnMessageExpiration: q.deadLetteringOnMessageExpiration
    defaultMessageTimeToLive: q.defaultMessageTimeToLive
    duplicateDetectionHistoryTimeWindow: q.duplicateDetectionHistoryTimeWindow
    lockDuration: q.lockDuration
    maxDeliveryCount: q.maxDeliveryCount
    maxSizeInMegabytes: 5120
    requiresDuplicateDetection: q.requiresDuplicateDetection
    requiresSession: q.requiresSession
  }
}]

resource grant 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace.id, principalId, dataOwner)
  scope: namespace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataOwner)
  }
}

output id string = namespace.id
output host string = replace(replace(namespace.properties.serviceBusEndpoint, 'https://', ''), ':443/', '')
