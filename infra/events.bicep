// What is created, changed and deleted in the subscription of the app, as CloudEvents to /ingest/events.
@description('Name of the topic.')
param name string
param tags object

@description('Address of /ingest/events.')
param endpoint string

@description('EVENTS_SHARED_KEY: Event Grid sends it with every delivery.')
@secure()
param key string

resource topic 'Microsoft.EventGrid/systemTopics@2022-06-15' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    source: subscription().id
    topicType: 'Microsoft.ResourceNotifications.Resources'
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
        'Microsoft.ResourceNotifications.Resources.CreatedOrUpdated'
        'Microsoft.ResourceNotifications.Resources.Deleted'
      ]
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
  }
}
