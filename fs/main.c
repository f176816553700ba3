#include <stdio.h>

int main(void) {
	puts("assayfs " ASSAYFS_VERSION);
	return 0;
}
