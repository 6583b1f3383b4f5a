module throughline/infra/bicepcheck

go 1.26.0

require (
	github.com/mattn/go-pointer v0.0.1 // indirect
	github.com/tree-sitter-grammars/tree-sitter-bicep v1.1.0
	github.com/tree-sitter/go-tree-sitter v0.25.0
)
