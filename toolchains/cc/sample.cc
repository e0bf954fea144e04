// Something to compile and link.
int main() { return 0; }
