module github.com/portalsec/portalsec/cmd/portalsec

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/portalsec/portalsec v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
)

replace github.com/portalsec/portalsec => ../..
