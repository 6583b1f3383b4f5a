// The function app: Flex Consumption, custom handler, one warm instance for webhooks, sign-in before the pages.
param name string
param location string
param tags object
param identityId string
param identityClientId string
param subnetId string
param storageName string
param packageContainer string
param serviceBusHost string
param cosmosEndpoint string
param cosmosDatabase string
param vaultUri string
param optionalSecrets array
param insightsConnection string
param authClientId string
param instanceMemory int
param maximumInstances int

@description('Settings that need nothing of this file.')
param settings object

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2023-12-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2023-12-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    clientAffinityEnabled: false
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      scaleAndConcurrency: {
        alwaysReady: [
          {
            name: 'http'
            instanceCount: 1
          }
        ]
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
        triggers: {
          http: {
            perInstanceConcurrency: 64
          }
        }
      }
    }
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    serverFarmId: plan.id
    siteConfig: {
      http20Enabled: true
      minTlsVersion: '1.2'
    }
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
  }
}

// No password opens the deployment endpoint; the package is pushed with an Entra token.
resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2023-12-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2023-12-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

// A reference to a secret that is not in the vault would be handed to the app as it stands, so an optional secret is
// named only when the operator says that it is there.
resource configuration 'Microsoft.Web/sites/config@2023-12-01' = {
  parent: app
  name: 'appsettings'
  properties: union(settings, {
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
    AzureWebJobsDisableHomepage: 'true'
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
    COSMOS_DATABASE: cosmosDatabase
    CosmosConnection__accountEndpoint: cosmosEndpoint
    CosmosConnection__clientId: identityClientId
    CosmosConnection__credential: 'managedidentity'
    EVIDENCE_KEY: contains(optionalSecrets, 'evidence-key') ? '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/evidence-key)' : ''
    EVENTS_SHARED_KEY: contains(optionalSecrets, 'events-shared-key') ? '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/events-shared-key)' : ''
    GITHUB_APP_PRIVATE_KEY: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/github-app-private-key)'
    GITHUB_USER_TOKEN: contains(optionalSecrets, 'github-user-token') ? '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/github-user-token)' : ''
    GITHUB_WEBHOOK_SECRET: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/github-webhook-secret)'
    GITHUB_WEBHOOK_SECRET_PREVIOUS: contains(optionalSecrets, 'github-webhook-secret-previous') ? '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/github-webhook-secret-previous)' : ''
    MARKER_KEY: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/marker-key)'
    ServiceBusConnection__clientId: identityClientId
    ServiceBusConnection__credential: 'managedidentity'
    ServiceBusConnection__fullyQualifiedNamespace: serviceBusHost
    THROUGHLINE_LOCAL: 'false'
  })
}

// Webhooks and events prove themselves by signature, token or key; everything else needs a sign-in with a role.
resource authentication 'Microsoft.Web/sites/config@2023-12-01' = if (!empty(authClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    globalValidation: {
      excludedPaths: [
        '/ingest/*'
        '/ingest/github'
        '/ingest/events'
      ]
      redirectToProvider: 'azureactivedirectory'
      requireAuthentication: true
      unauthenticatedClientAction: 'RedirectToLoginPage'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: authClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            authClientId
            'api://${authClientId}'
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
    platform: {
      enabled: true
      runtimeVersion: '~1'
    }
  }
}

output name string = app.name
output host string = app.properties.defaultHostName
