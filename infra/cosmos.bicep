// The graph, the worklist and the state. Only what the queries choose and order by is indexed, which keeps a write at its
// floor. The client tracks no session tokens, so reads must be strong.
param name string
param location string
param tags object
param principalId string
param maxThroughput int
param closed bool

var dataContributor = '00000000-0000-0000-0000-000000000002'
var containers = [
  {
    name: 'graph'
    key: '/pk'
    paths: [
      '/kind/?'
      '/data/id/?'
      '/data/state/?'
      '/data/remediation/?'
      '/data/method/?'
      '/data/cves/[]/?'
      '/data/runtime/digest/?'
      '/data/issue/number/?'
    ]
  }
  {
    name: 'worklist'
    key: '/org'
    paths: [
      '/kind/?'
      '/data/rank/?'
      '/data/byDue/?'
      '/data/byAge/?'
      '/data/state/?'
      '/data/tier/?'
      '/data/kind/?'
      '/data/repository/?'
      '/data/risks/[]/?'
      '/data/unmapped/?'
      '/data/status/?'
      '/data/title/?'
      '/data/cves/[]/?'
      '/data/logged/?'
    ]
  }
  {
    name: 'state'
    key: '/pk'
    paths: [
      '/kind/?'
      '/data/path/?'
      '/data/waiting/?'
      '/data/at/?'
      '/data/by/?'
      '/data/left/[]/?'
    ]
  }
]

resource account 'Microsoft.DocumentDB/databaseAccounts@2024-05-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: {
        tier: 'Continuous7Days'
      }
    }
    capabilities: maxThroughput == 0 ? [
      {
        name: 'EnableServerless'
      }
    ] : []
    consistencyPolicy: {
      defaultConsistencyLevel: 'Strong'
    }
    databaseAccountOfferType: 'Standard'
    disableKeyBasedMetadataWriteAccess: true
    disableLocalAuth: true
    locations: [
      {
        failoverPriority: 0
        locationName: location
      }
    ]
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: closed ? 'Disabled' : 'Enabled'
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-05-15' = {
  parent: account
  name: 'throughline'
  properties: {
    resource: {
      id: 'throughline'
    }
  }
}

resource container 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-05-15' = [for c in containers: {
  parent: database
  name: c.name
  properties: {
    options: maxThroughput == 0 ? {} : {
      autoscaleSettings: {
        maxThroughput: maxThroughput
      }
    }
    resource: {
      id: c.name
      indexingPolicy: {
        automatic: true
        excludedPaths: [
          {
            path: '/*'
          }
        ]
        includedPaths: [for p in c.paths: {
          path: p
        }]
        indexingMode: 'consistent'
      }
      partitionKey: {
        kind: 'Hash'
        paths: [
          c.key
        ]
        version: 2
      }
    }
  }
}]

resource grant 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-05-15' = {
  parent: account
  name: guid(account.id, principalId, dataContributor)
  properties: {
    principalId: principalId
    roleDefinitionId: '${account.id}/sqlRoleDefinitions/${dataContributor}'
    scope: '${account.id}/dbs/${database.name}'
  }
}

output id string = account.id
output endpoint string = account.properties.documentEndpoint
output database string = database.name
