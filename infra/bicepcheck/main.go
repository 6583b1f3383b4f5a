// Bicepcheck checks Bicep templates without the Bicep compiler and without a network.
//
// It parses every template of a folder, compares resources with the published type data of Azure, follows symbols, modules
// and parameters files, and prints each fault as file:line:column: error: path: text; mend. Exit code 1: faults were found;
// 2: it could not check. It is a gate for the plain style of this folder: the grammar refuses spread, resourceInput,
// typed variables and .bicepparam files, and it knows API versions up to August 2024. Types of expressions and the
// signatures of functions are not checked; where the Bicep compiler is at hand (CI), run it too.
package main

import (
	"fmt"
	"os"
)

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	data, err := openSchema()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bicepcheck:", err)
		os.Exit(2)
	}
	faults, err := check(os.DirFS(dir), data)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bicepcheck:", err)
		os.Exit(2)
	}
	for _, f := range faults {
		fmt.Println(f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}
