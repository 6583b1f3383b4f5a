package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
)

// The type data is that of the azapi provider; its package is internal, so the module is read in place and pinned here.
const (
	dataModule = "github.com/Azure/terraform-provider-azapi@v1.15.0"
	dataSum    = "h1:A963Vm8nOaOTu9uUKvI6fr3Q69TFOdqwSqSp8Y0/p7M="
	dataDir    = "internal/azure/generated"
)

// Flags of a property.
const (
	required = 1
	readOnly = 2
)

// schema knows the resource types of Azure.
type schema struct {
	files fs.FS
	index map[string]string   // lower-case Type@version to reference
	plain map[string]string   // the same key to the spelling of the data
	kinds map[string][]string // lower-case type to versions
	cache map[string][]node
}

// anything is the reference to a type that takes every value.
const anything = "*"

type reference struct {
	Ref string `json:"$ref"`
}

type property struct {
	Type  reference
	Flags int
}

// node is one entry of a type file, of any kind.
type node struct {
	Kind                 string `json:"$type"`
	Name                 string
	Body                 reference
	ScopeType            int
	Properties           map[string]property
	BaseProperties       map[string]property
	AdditionalProperties *reference
	ItemType             reference
	Discriminator        string
	Elements             json.RawMessage
	Value                string
	Pattern              string
	MinLength, MaxLength *int
	MinValue, MaxValue   *int

	file string
}

// openSchema finds the pinned module. Without it nothing can be checked, and the error says so.
func openSchema() (*schema, error) {
	cmd := exec.Command("go", "mod", "download", "-json", dataModule)
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	var got struct{ Dir, Sum, Error string }
	if parsed := json.Unmarshal(out, &got); parsed != nil {
		return nil, fmt.Errorf("the type data %s cannot be had: go mod download: %v (nothing was checked); run it once with a network", dataModule, err)
	}
	if got.Error != "" || err != nil {
		return nil, fmt.Errorf("the type data %s cannot be had: %s (nothing was checked); run go mod download %s once with a network", dataModule, got.Error, dataModule)
	}
	if got.Sum != dataSum {
		return nil, fmt.Errorf("the type data %s has sum %s, not %s (nothing was checked); clear the module cache and fetch it again", dataModule, got.Sum, dataSum)
	}
	return readSchema(os.DirFS(path.Join(got.Dir, dataDir)))
}

func readSchema(files fs.FS) (*schema, error) {
	text, err := fs.ReadFile(files, "index.json")
	if err != nil {
		return nil, fmt.Errorf("type data: %w", err)
	}
	var index struct{ Resources map[string]reference }
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("type data: index.json: %w", err)
	}
	d := &schema{files: files, index: map[string]string{}, plain: map[string]string{}, kinds: map[string][]string{}, cache: map[string][]node{}}
	for name, ref := range index.Resources {
		key := strings.ToLower(name)
		kind, version, _ := strings.Cut(key, "@")
		d.index[key], d.plain[key] = ref.Ref, name
		d.kinds[kind] = append(d.kinds[kind], version)
	}
	return d, nil
}

// resource gives the type of Type@version; nil when the data does not know it.
func (d *schema) resource(name string) (*node, error) {
	ref, known := d.index[strings.ToLower(name)]
	if !known {
		return nil, nil
	}
	return d.resolve(reference{ref}, "")
}

// resolve follows a reference; an empty file part means the file it stands in.
func (d *schema) resolve(r reference, from string) (*node, error) {
	if r.Ref == anything {
		return &node{Kind: "AnyType"}, nil
	}
	file, number, _ := strings.Cut(r.Ref, "#/")
	if file == "" {
		file = from
	}
	all, err := d.file(file)
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(all) {
		return nil, fmt.Errorf("type data: %s has no %q", file, r.Ref)
	}
	return &all[i], nil
}

func (d *schema) file(name string) ([]node, error) {
	if all, ok := d.cache[name]; ok {
		return all, nil
	}
	text, err := fs.ReadFile(d.files, name)
	if err != nil {
		return nil, fmt.Errorf("type data: %w", err)
	}
	var all []node
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("type data: %s: %w", name, err)
	}
	for i := range all {
		all[i].file = name
	}
	d.cache[name] = all
	return all, nil
}
