// Writes all keys of a bbolt file in one transaction, or says what the file holds. For prove.sh.
package main

import (
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

const keys = 2000

func main() {
	db, err := bolt.Open(os.Args[2], 0o600, nil)
	if err == nil && os.Args[1] == "write" {
		err = write(db, os.Args[3])
	} else if err == nil {
		err = read(db)
	}
	if err != nil {
		fmt.Println("   error:", err)
		os.Exit(1)
	}
}

func write(db *bolt.DB, value string) error {
	return db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte("bucket"))
		for i := 0; i < keys && err == nil; i++ {
			err = bucket.Put([]byte(fmt.Sprintf("key%06d", i)), []byte(value+", and so that a page holds fewer of them"))
		}
		return err
	})
}

func read(db *bolt.DB) error {
	return db.View(func(tx *bolt.Tx) error {
		complaints := 0
		for range tx.Check() {
			complaints++
		}
		counts := map[string]int{}
		err := tx.Bucket([]byte("bucket")).ForEach(func(_, value []byte) error {
			counts[string(value[:2])]++
			return nil
		})
		fmt.Printf("   transaction %d, values %v, bbolt's own check complains %d times\n", tx.ID(), counts, complaints)
		return err
	})
}
