#include "crypto/base/ready.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static void start(void) {
	if (sodium_init() < 0) {
		(void)fputs("assayfs: this system has no source of randomness (getrandom, /dev/urandom)\n", stderr);
		abort();
	}
}

void crypto_ready(void) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, start);
}
