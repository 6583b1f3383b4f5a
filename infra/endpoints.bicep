// Private endpoints of everything that holds data, with their names.
param name string
param location string
param tags object
param azureCloud string
param networkId string
param subnetId string
param storageId string
param cosmosId string
param vaultId string

@description('Empty: Service Bus keeps its public endpoint, as Standard must.')
param serviceBusId string

var suffixes = {
  public: {
    cosmos: 'documents.azure.com'
    vault: 'vaultcore.azure.net'
    bus: 'servicebus.windows.net'
  }
  usgovernment: {
    cosmos: 'documents.azure.us'
    vault: 'vaultcore.usgovcloudapi.net'
    bus: 'servicebus.usgovcloudapi.net'
  }
  china: {
    cosmos: 'documents.azure.cn'
    vault: 'vaultcore.azure.cn'
    bus: 'servicebus.chinacloudapi.cn'
  }
}
var always = [
  {
    part: 'blob'
    group: 'blob'
    target: storageId
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    part: 'queue'
    group: 'queue'
    target: storageId
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    part: 'table'
    group: 'table'
    target: storageId
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    part: 'cosmos'
    group: 'Sql'
    target: cosmosId
    zone: 'privatelink.${suffixes[azureCloud].cosmos}'
  }
  {
    part: 'vault'
    group: 'vault'
    target: vaultId
    zone: 'privatelink.${suffixes[azureCloud].vault}'
  }
]
var bus = [
  {
    part: 'servicebus'
    group: 'namespace'
    target: serviceBusId
    zone: 'privatelink.${suffixes[azureCloud].bus}'
  }
]
var parts = empty(serviceBusId) ? always : concat(always, bus)

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [for p in parts: {
  name: p.zone
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [for (p, i) in parts: {
  parent: zone[i]
  name: 'link-${p.part}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: networkId
    }
  }
}]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-01-01' = [for p in parts: {
  name: 'pe-${p.part}-${name}'
  location: location
  tags: tags
  properties: {
    privateLinkServiceConnections: [
      {
        name: p.part
        properties: {
          groupIds: [
            p.group
          ]
          privateLinkServiceId: p.target
        }
      }
    ]
    subnet: {
      id: subnetId
    }
  }
}]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-01-01' = [for (p, i) in parts: {
  parent: endpoint[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: p.part
        properties: {
          privateDnsZoneId: zone[i].id
        }
      }
    ]
  }
}]
