// What the app may read in a subscription that it looks at: resources (Reader), findings (Security Reader), and, when
// asked for, due dates and tickets of assessments to write.
targetScope = 'subscription'

param principalId string

@description('Actions of the custom role; empty: no such role.')
param governanceActions array

var roles = [
  'acdd72a7-3385-48ef-bd42-f606fba81ae7'
  '39bc4728-0917-49c7-9d2c-d95423bc2eb4'
]

resource grants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in roles: {
  name: guid(subscription().id, principalId, role)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource governance 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (!empty(governanceActions)) {
  name: guid(subscription().id, 'throughline-governance')
  properties: {
    assignableScopes: [
      subscription().id
    ]
    description: 'Writes due date, owner and ticket of an assessment, nothing else.'
    permissions: [
      {
        actions: governanceActions
      }
    ]
    roleName: 'Throughline governance writer (${subscription().subscriptionId})'
    type: 'CustomRole'
  }
}

resource governanceGrant 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(governanceActions)) {
  name: guid(subscription().id, principalId, 'throughline-governance')
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: governance.id
  }
}
