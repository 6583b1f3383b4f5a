package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"throughline/shared/cosmos"
)

// localCosmos is where make run serves Cosmos DB, with the key that Microsoft publishes for its emulator.
const localCosmos = "AccountEndpoint=http://127.0.0.1:8081/;AccountKey=C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

// export writes the graph, the worklist and the state to a new file: functions export FILE. The store is the one of
// CosmosConnection or CosmosConnection__accountEndpoint (signed in with az login), else that of make run.
func export(get func(string) string, args []string, out io.Writer) error {
	path, err := archivePath(flag.NewFlagSet("export", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	s, err := openArchive(get)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer s.Close()
	n, err := exportFile(context.Background(), s, path)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	fmt.Fprintf(out, "%d documents in %s\n", n, path)
	return nil
}

// exportFile gives the file its name only once all is in it.
func exportFile(ctx context.Context, s *cosmos.Store, path string) (n int, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return 0, errors.Join(fmt.Errorf("%s is there already; name a new file", path), err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	n, err = s.Export(ctx, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return n, err
	}
	return n, os.Rename(f.Name(), path)
}

// imports writes the documents of an export that are not in the store: functions import [-replace] FILE.
func imports(get func(string) string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	replace := flags.Bool("replace", false, "overwrite what is there and differs")
	path, err := archivePath(flags, args)
	if err != nil {
		return err
	}
	s, err := openArchive(get)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer s.Close()
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer f.Close()
	done, err := s.Import(context.Background(), f, *replace)
	fmt.Fprintf(out, "%d documents written, %d were there already, %d differ and stay\n", done.Written, done.Same, done.Kept)
	if err == nil && done.Kept > 0 {
		err = errors.New("what differs was left as it is; import into an empty database, or overwrite it with -replace")
	}
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// archivePath is the one file that the arguments name.
func archivePath(f *flag.FlagSet, args []string) (string, error) {
	if err := f.Parse(args); err != nil {
		return "", err
	}
	if f.NArg() != 1 || f.Arg(0) == "" {
		return "", fmt.Errorf("%s: name one file, like make %s FILE=graph.ndjson", f.Name(), f.Name())
	}
	return f.Arg(0), nil
}

// openArchive opens the store that the settings name, else the local one. None of the other settings is needed.
func openArchive(get func(string) string) (*cosmos.Store, error) {
	s := &settings{get: get}
	o := cosmos.Options{ConnectionString: s.or("CosmosConnection", ""), Endpoint: s.or("CosmosConnection__accountEndpoint", ""),
		Database: s.or("COSMOS_DATABASE", "throughline"), Cloud: clouds[s.oneOf("AZURE_CLOUD", "public", "usgovernment", "china")]}
	if err := errors.Join(s.faults...); err != nil {
		return nil, err
	}
	if o.ConnectionString == "" && o.Endpoint == "" {
		o.ConnectionString = localCosmos
	}
	if o.ConnectionString == "" {
		credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{Cloud: o.Cloud}})
		if err != nil {
			return nil, err
		}
		o.Credential = credential
	}
	return cosmos.Open(o)
}
