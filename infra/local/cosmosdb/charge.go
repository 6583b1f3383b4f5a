package cosmosdb

import "math"

// Request units follow the figures that Azure publishes: a point read costs 1 for 1 KB and 10 for 100 KB, a write 5 and 50, both
// straight lines between; indexing adds a little for each scalar in the document. A query costs 2.3, and 0.1 for each document
// it has to look at and for each KB of those. The sum is a model: real charges differ by some tenths.
const (
	readBase, readPerKB     = 1.0, 9.0 / 99
	writeBase, writePerKB   = 5.0, 45.0 / 99
	indexPerScalar          = 0.02
	indexMost               = 20.0
	queryBase               = 2.3
	queryPerDocument        = 0.1
	queryPerKB              = 0.1
	metadataCharge          = 1.0
	resourceWriteCharge     = 5.0
	notFoundCharge          = 1.0
	refusedWriteCharge      = 1.24
	patchPerOperationCharge = 0.1
)

func kilobytesOver(size int) float64 { return math.Max(0, float64(size)/1024-1) }

// readCharge is the price of a point read of size bytes.
func readCharge(size int) float64 { return readBase + readPerKB*kilobytesOver(size) }

// writeCharge is the price of writing size bytes that hold scalars indexed values.
func writeCharge(size, scalars int) float64 {
	return writeBase + writePerKB*kilobytesOver(size) + math.Min(indexMost, indexPerScalar*float64(scalars))
}

// queryCharge is the price of a page for which documents of size bytes in sum were looked at.
func queryCharge(documents, size int) float64 {
	return queryBase + queryPerDocument*float64(documents) + queryPerKB*float64(size)/1024
}
