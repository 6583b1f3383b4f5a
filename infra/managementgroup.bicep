// The same rights on a management group: az deployment mg create, once for each group.
targetScope = 'managementGroup'

@description('Object id of the identity: output principalId of main.bicep.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Also write due dates and tickets into Defender for Cloud.')
param governanceWrite bool = false

var roles = [
  'acdd72a7-3385-48ef-bd42-f606fba81ae7'
  '39bc4728-0917-49c7-9d2c-d95423bc2eb4'
]

resource grants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in roles: {
  name: guid(managementGroup().id, principalId, role)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: tenantResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource governance 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (governanceWrite) {
  name: guid(managementGroup().id, 'throughline-governance')
  properties: {
    assignableScopes: [
      managementGroup().id
    ]
    description: 'Writes due date, owner and ticket of an assessment, nothing else.'
    permissions: [
      {
        actions: [
          'Microsoft.Security/assessments/governanceAssignments/read'
          'Microsoft.Security/assessments/governanceAssignments/write'
        ]
      }
    ]
    roleName: 'Throughline governance writer (${managementGroup().name})'
    type: 'CustomRole'
  }
}

resource governanceGrant 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (governanceWrite) {
  name: guid(managementGroup().id, principalId, 'throughline-governance')
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: governance.id
  }
}
