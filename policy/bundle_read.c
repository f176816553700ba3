/* Gathers a policy from a directory: policy.yaml and the files that it names. */
#include "policy/bundle.h"

#include "crypto/base/fault.h"
#include "policy/yaml_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int open_beneath(int directory, const char *name, int *ret_fd) {
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH};
	long fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

static int read_all(int fd, const char *path, uint8_t **ret_data, size_t *ret_size) {
	_cleanup_(freep) uint8_t *data = malloc(BUNDLE_FILE_MAX + 1);
	if (!data)
		return fault(ENOMEM, "no memory to read %s", path);
	size_t size = 0;
	ssize_t got;
	while ((got = read(fd, data + size, BUNDLE_FILE_MAX + 1 - size)) > 0)
		size += (size_t)got;
	if (got < 0)
		return fault_errno(errno, "reading %s", path);
	*ret_data = steal_pointer(&data);
	*ret_size = size;
	return 0;
}

static int add_file(PolicyBundle *bundle, int directory, const char *directory_name, const char *name) {
	_cleanup_(closep) int fd = -1;
	int rc = open_beneath(directory, name, &fd);
	if (rc == -EXDEV)
		return fault(EXDEV, "%s/%s leads out of the policy directory; keep rules files inside it",
		        directory_name, name);
	if (rc < 0)
		return fault_errno(-rc, "opening %s/%s", directory_name, name);
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fault(EINVAL, "%s/%s is not a regular file", directory_name, name);
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size;
	rc = read_all(fd, name, &data, &size);
	return rc ? rc : policy_bundle_put(bundle, name, bytes_of(data, size));
}

static const struct yaml_tree_node *under(const struct yaml_tree_node *map, const char *key) {
	for (size_t i = 0; map && map->kind == TREE_MAP && i < map->count; i++)
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->values[i];
	return NULL;
}

/* Only finds the names: whether the document is right is for policy_parse to say, in its better words. */
static int add_rules(PolicyBundle *bundle, int directory, const char *directory_name, const YamlTree *tree) {
	const struct yaml_tree_node *datasets = under(yaml_tree_root(tree), "datasets");
	for (size_t i = 0; datasets && datasets->kind == TREE_LIST && i < datasets->count; i++) {
		const struct yaml_tree_node *rules = under(datasets->values[i], "rules");
		if (!rules || rules->kind != TREE_TEXT || rules->text[0] == '\0')
			continue;
		int rc = add_file(bundle, directory, directory_name, rules->text);
		if (rc < 0)
			return fault_while(rc, BUNDLE_POLICY ":%u:%u: rules", rules->line, rules->column);
	}
	return 0;
}

static int add_prices(PolicyBundle *bundle, int directory, const char *directory_name, const YamlTree *tree) {
	const struct yaml_tree_node *prices = under(under(yaml_tree_root(tree), "costs"), "prices");
	if (!prices || prices->kind != TREE_TEXT || prices->text[0] == '\0')
		return 0;
	int rc = add_file(bundle, directory, directory_name, prices->text);
	return rc < 0 ? fault_while(rc, BUNDLE_POLICY ":%u:%u: prices", prices->line, prices->column) : 0;
}

int policy_bundle_read(const char *directory, PolicyBundle **ret_bundle) {
	_cleanup_(closep) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(errno, "opening the policy directory %s", directory);
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	_cleanup_(yaml_tree_freep) YamlTree *tree = NULL;
	struct bytes text;
	int rc = policy_bundle_new(&bundle);
	if (rc < 0 || (rc = add_file(bundle, fd, directory, BUNDLE_POLICY)) < 0 ||
	        (rc = policy_bundle_get(bundle, BUNDLE_POLICY, &text)) < 0 ||
	        (rc = yaml_tree_parse(BUNDLE_POLICY, text, &tree)) < 0 ||
	        (rc = add_rules(bundle, fd, directory, tree)) < 0 || (rc = add_prices(bundle, fd, directory, tree)) < 0)
		return rc;
	*ret_bundle = steal_pointer(&bundle);
	return 0;
}
