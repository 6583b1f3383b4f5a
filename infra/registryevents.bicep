// Pushes and deletions of a registry, as CloudEvents to /ingest/events.
@description('Name of the registry.')
param name string
param tags object

@description('Address of /ingest/events.')
param endpoint string

@description('EVENTS_SHARED_KEY: Event Grid sends it with every delivery.')
@secure()
param key string

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: name
}

resource topic 'Microsoft.EventGrid/systemTopics@2022-06-15' = {
  name: 'evgt-throughline-${name}'
  location: registry.location
  tags: tags
  properties: {
    source: registry.id
    topicType: 'Microsoft.ContainerRegistry.Registries'
  }
}

resource subscriber 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2022-06-15' = {
  parent: topic
  name: 'throughline'
  properties: {
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: '${endpoint}?code=${uriComponent(key)}'
        maxEventsPerBatch: 1
      }
    }
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: {
      includedEventTypes: [
        'Microsoft.ContainerRegistry.ImagePushed'
        'Microsoft.ContainerRegistry.ImageDeleted'
      ]
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
  }
}
