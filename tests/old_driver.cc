// In place of libcuda.so.1: a driver for CUDA 11.4.
extern "C" int cuDriverGetVersion(int* version) {
  *version = 11040;
  return 0;
}
