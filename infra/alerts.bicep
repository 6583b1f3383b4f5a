// What wakes somebody up. README.md has the cause and the mend of each.
param name string
param location string
param tags object
param emails array
param insightsId string
param serviceBusId string
param cosmosId string
param silenceHours int
param budgetAmount int
param budgetStart string

var queueNames = map(loadJsonContent('queues.json').queues, q => q.name)
var actions = [
  {
    actionGroupId: people.id
  }
]
var silenceWindows = {
  '6': 'PT6H'
  '12': 'PT12H'
  '24': 'P1D'
  '48': 'P2D'
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${name}'
  location: 'Global'
  tags: tags
  properties: {
    emailReceivers: [for (mail, i) in emails: {
      name: 'mail-${i}'
      emailAddress: mail
      useCommonAlertSchema: true
    }]
    enabled: true
    groupShortName: 'throughline'
  }
}

resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'dead-letters-${name}'
  location: 'global'
  tags: tags
  properties: {
    actions: actions
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead-letters'
          criterionType: 'StaticThresholdCriterion'
          dimensions: [
            {
              name: 'EntityName'
              operator: 'Include'
              values: queueNames
            }
          ]
          metricName: 'DeadletteredMessages'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Maximum'
        }
      ]
    }
    description: 'A message was given up: see /api/parked.'
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [
      serviceBusId
    ]
    severity: 1
    windowSize: 'PT15M'
  }
}

resource queueAge 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'queue-age-${name}'
  location: 'global'
  tags: tags
  properties: {
    actions: actions
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'queue-age'
          criterionType: 'StaticThresholdCriterion'
          dimensions: [
            {
              name: 'EntityName'
              operator: 'Include'
              values: queueNames
            }
          ]
          metricName: 'ActiveMessages'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Minimum'
        }
      ]
    }
    description: 'A queue was not empty for half an hour: its stage does not keep up.'
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [
      serviceBusId
    ]
    severity: 2
    windowSize: 'PT30M'
  }
}

resource throttled 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'cosmos-throttled-${name}'
  location: 'global'
  tags: tags
  properties: {
    actions: actions
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'cosmos-throttled'
          criterionType: 'StaticThresholdCriterion'
          dimensions: [
            {
              name: 'StatusCode'
              operator: 'Include'
              values: [
                '429'
              ]
            }
          ]
          metricName: 'TotalRequests'
          metricNamespace: 'Microsoft.DocumentDB/databaseAccounts'
          operator: 'GreaterThan'
          threshold: 500
          timeAggregation: 'Count'
        }
      ]
    }
    description: 'Cosmos DB refuses more than it should: raise cosmosMaxThroughput.'
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [
      cosmosId
    ]
    severity: 2
    windowSize: 'PT15M'
  }
}

resource parked 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'parked-${name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    actions: {
      actionGroups: [
        people.id
      ]
    }
    autoMitigate: true
    criteria: {
      allOf: [
        {
          failingPeriods: {
            minFailingPeriodsToAlert: 1
            numberOfEvaluationPeriods: 1
          }
          metricMeasureColumn: 'n'
          operator: 'GreaterThan'
          query: 'traces | where message has "message parked" | summarize n = count()'
          threshold: 0
          timeAggregation: 'Total'
        }
      ]
    }
    description: 'A message cannot be understood or contradicts the contract: see /api/parked.'
    displayName: 'Throughline: parked'
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [
      insightsId
    ]
    severity: 1
    windowSize: 'PT15M'
  }
}

resource failures 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'failures-${name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    actions: {
      actionGroups: [
        people.id
      ]
    }
    autoMitigate: true
    criteria: {
      allOf: [
        {
          failingPeriods: {
            minFailingPeriodsToAlert: 1
            numberOfEvaluationPeriods: 1
          }
          metricMeasureColumn: 'n'
          operator: 'GreaterThan'
          query: 'requests | where success == false | summarize n = count()'
          threshold: 20
          timeAggregation: 'Total'
        }
      ]
    }
    description: 'Functions fail again and again.'
    displayName: 'Throughline: failures'
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [
      insightsId
    ]
    severity: 2
    windowSize: 'PT15M'
  }
}

resource silence 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'silence-${name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    actions: {
      actionGroups: [
        people.id
      ]
    }
    autoMitigate: true
    criteria: {
      allOf: [
        {
          failingPeriods: {
            minFailingPeriodsToAlert: 1
            numberOfEvaluationPeriods: 1
          }
          metricMeasureColumn: 'n'
          operator: 'LessThan'
          query: 'requests | where operation_Name =~ "ingest" and success == true | summarize n = count()'
          threshold: 1
          timeAggregation: 'Total'
        }
      ]
    }
    description: 'No webhook of GitHub was taken for a long time.'
    displayName: 'Throughline: silence'
    enabled: true
    evaluationFrequency: 'PT1H'
    scopes: [
      insightsId
    ]
    severity: 2
    windowSize: silenceWindows[string(silenceHours)]
  }
}

resource stale 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'stale-${name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    actions: {
      actionGroups: [
        people.id
      ]
    }
    autoMitigate: true
    criteria: {
      allOf: [
        {
          failingPeriods: {
            minFailingPeriodsToAlert: 1
            numberOfEvaluationPeriods: 1
          }
          metricMeasureColumn: 'n'
          operator: 'LessThan'
          query: 'traces | where message has "run begins" | summarize n = count()'
          threshold: 1
          timeAggregation: 'Total'
        }
      ]
    }
    description: 'No reading of a source began for a day.'
    displayName: 'Throughline: stale'
    enabled: true
    evaluationFrequency: 'PT1H'
    scopes: [
      insightsId
    ]
    severity: 2
    windowSize: 'P1D'
  }
}

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = if (budgetAmount > 0) {
  name: 'throughline'
  properties: {
    amount: budgetAmount
    category: 'Cost'
    notifications: {
      forecast: {
        contactEmails: emails
        contactGroups: [
          people.id
        ]
        enabled: true
        operator: 'GreaterThan'
        threshold: 90
        thresholdType: 'Forecasted'
      }
    }
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: budgetStart
    }
  }
}
