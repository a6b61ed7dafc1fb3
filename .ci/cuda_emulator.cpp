/* CUDA's driver, cuBLAS, cuRAND, cuDNN and NCCL in software, as far as the examples of this
 * repository use them, for tests where there is no GPU.
 *
 *     g++ -O2 -std=c++17 -shared -fPIC -o cuda_emulator.so cuda_emulator.cpp
 *     LD_PRELOAD=./cuda_emulator.so ./parity --device cuda:0
 *
 * Everything is done at once, on the CPU, when it is called: streams are always done. Memory of the
 * "GPU" lies where the CPU must not touch it (pages without access), at a fixed distance from where it is
 * kept, so that a pointer that is used on the wrong side ends the process. Kernels are told
 * apart by their names, and do what candle's of the same names do. What is not known here ends the process
 * with its name. */
#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

/* The kernel that runs on this thread. */
static thread_local const char *kernel = "no kernel";

[[noreturn]] static void fail(const std::string &what) {
    fprintf(stderr, "CUDA emulator: %s: %s\n", kernel, what.c_str());
    abort();
}

/* ---- memory ---- */

static const size_t SPACE = size_t(1) << 36;

/* What programs see as the memory of GPUs, and where it is kept. */
struct Memory {
    char *seen, *kept;
    std::mutex mutex;
    std::map<size_t, size_t> used; /* start, length */
    std::multimap<size_t, size_t> idle; /* length, start */
    size_t end = 256;

    Memory() {
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        seen = (char *)mmap(nullptr, SPACE, PROT_NONE, flags, -1, 0);
        kept = (char *)mmap(nullptr, SPACE, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (seen == MAP_FAILED || kept == MAP_FAILED) fail("no address space");
    }
    uint64_t allocate(size_t length) {
        length = (std::max<size_t>(length, 1) + 255) / 256 * 256;
        std::lock_guard<std::mutex> guard(mutex);
        auto found = idle.find(length);
        size_t start = end;
        if (found != idle.end()) {
            start = found->second;
            idle.erase(found);
        } else if ((end += length) > SPACE) fail("out of memory");
        used[start] = length;
        memset(kept + start, 0xff, length); /* NaN, in every format */
        return (uint64_t)(seen + start);
    }
    void release(uint64_t pointer) {
        std::lock_guard<std::mutex> guard(mutex);
        auto found = used.find(pointer - (uint64_t)seen);
        if (found == used.end()) fail("freed what was not allocated");
        idle.insert({found->second, found->first});
        used.erase(found);
    }
    bool holds(uint64_t pointer) { return pointer - (uint64_t)seen < SPACE; }
    /* Where `length` bytes are kept, which have to be of one allocation. */
    char *at(uint64_t pointer, size_t length) {
        if (length == 0) return kept;
        if (!holds(pointer)) fail("a pointer of the CPU is used on the GPU");
        size_t start = pointer - (uint64_t)seen;
        std::lock_guard<std::mutex> guard(mutex);
        auto after = used.upper_bound(start);
        if (after == used.begin()) fail("memory that is not allocated");
        auto found = std::prev(after);
        if (start + length > found->first + found->second) fail("past the end of an allocation");
        return kept + start;
    }
};
static Memory &memory() { static Memory *all = new Memory; return *all; }

/* ---- numbers ---- */

enum Type { U8, U32, I64, F16, BF16, F32, F64 };

static size_t size_of(Type type) {
    switch (type) {
    case U8: return 1;
    case F16: case BF16: return 2;
    case U32: case F32: return 4;
    default: return 8;
    }
}

static Type type_named(const std::string &name) {
    static const std::map<std::string, Type> names = {{"u8", U8}, {"u32", U32}, {"i64", I64},
        {"f16", F16}, {"bf16", BF16}, {"f32", F32}, {"f64", F64}};
    auto found = names.find(name);
    if (found == names.end()) fail("numbers of type " + name);
    return found->second;
}

static double load(Type type, const char *from, size_t i) {
    switch (type) {
    case U8: return ((const uint8_t *)from)[i];
    case U32: return ((const uint32_t *)from)[i];
    case I64: return ((const int64_t *)from)[i];
    case F16: return ((const _Float16 *)from)[i];
    case F32: return ((const float *)from)[i];
    case F64: return ((const double *)from)[i];
    case BF16: {
        uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }
    }
    return 0;
}

static void store(Type type, char *to, size_t i, double value) {
    switch (type) {
    case U8: ((uint8_t *)to)[i] = value; break;
    case U32: ((uint32_t *)to)[i] = value; break;
    case I64: ((int64_t *)to)[i] = value; break;
    case F16: ((_Float16 *)to)[i] = (_Float16)(float)value; break;
    case F32: ((float *)to)[i] = value; break;
    case F64: ((double *)to)[i] = value; break;
    case BF16: {
        float single = value;
        uint32_t bits;
        memcpy(&bits, &single, 4);
        /* To the nearest, ties to even. */
        if (single == single) bits += 0x7fff + (bits >> 16 & 1);
        ((uint16_t *)to)[i] = bits >> 16;
    }
    }
}

/* Numbers on the GPU. */
struct Array {
    Type type;
    uint64_t pointer;
    double get(size_t i) const {
        return load(type, memory().kept + (pointer - (uint64_t)memory().seen), i);
    }
    void set(size_t i, double value) const {
        store(type, memory().kept + (pointer - (uint64_t)memory().seen), i, value);
    }
    const Array &check(size_t count) const {
        memory().at(pointer, count * size_of(type));
        return *this;
    }
    std::vector<double> numbers(size_t count) const {
        const char *from = memory().at(pointer, count * size_of(type));
        std::vector<double> all(count);
        for (size_t i = 0; i < count; i++) all[i] = load(type, from, i);
        return all;
    }
};

/* ---- kernels ---- */

/* The arguments of a launch, one after the other. */
struct Arguments {
    void **next;
    template <typename T> T take() {
        T value;
        memcpy(&value, *next++, sizeof value);
        return value;
    }
    size_t size() { return take<size_t>(); }
    Array array(Type type) { return {type, take<uint64_t>()}; }
    double number(Type type) { return load(type, (const char *)*next++, 0); }
};

/* Sizes and steps of tensors, as kernels get them: a null pointer stands for dense tensors. */
struct Shape {
    size_t rank;
    const size_t *info;
    Shape(size_t rank, uint64_t pointer, size_t tensors) : rank(rank), info(nullptr) {
        if (pointer) info = (const size_t *)memory().at(pointer, 8 * rank * (1 + tensors));
    }
    size_t place(size_t i, size_t tensor) const {
        if (!info) return i;
        size_t place = 0;
        for (size_t axis = rank; axis-- > 0; i /= info[axis])
            place += i % info[axis] * info[rank * (1 + tensor) + axis];
        return place;
    }
    /* The greatest place plus one. */
    size_t extent(size_t count, size_t tensor) const {
        if (!info || count == 0) return count;
        size_t last = 0;
        for (size_t axis = 0; axis < rank; axis++)
            last += (info[axis] - 1) * info[rank * (1 + tensor) + axis];
        return last + 1;
    }
};

typedef double (*Unary)(double);
typedef double (*Binary)(double, double);

static Unary unary(const std::string &op) {
    static const std::map<std::string, Unary> ops = {
        {"copy", [](double x) { return x; }}, {"neg", [](double x) { return -x; }},
        {"sqr", [](double x) { return x * x; }}, {"sqrt", [](double x) { return std::sqrt(x); }},
        {"exp", [](double x) { return std::exp(x); }}, {"log", [](double x) { return std::log(x); }},
        {"abs", [](double x) { return std::fabs(x); }}, {"recip", [](double x) { return 1 / x; }},
        {"relu", [](double x) { return std::max(x, 0.0); }},
        {"sin", [](double x) { return std::sin(x); }}, {"cos", [](double x) { return std::cos(x); }},
        {"floor", [](double x) { return std::floor(x); }},
        {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
        {"tanh", [](double x) { return std::tanh(x); }}};
    auto found = ops.find(op);
    if (found == ops.end()) fail("unary op " + op);
    return found->second;
}

static Binary binary(const std::string &op) {
    static const std::map<std::string, Binary> ops = {
        {"badd", [](double x, double y) { return x + y; }}, {"bsub", [](double x, double y) { return x - y; }},
        {"bmul", [](double x, double y) { return x * y; }}, {"bdiv", [](double x, double y) { return x / y; }},
        {"bmaximum", [](double x, double y) { return x != x ? x : y != y ? y : std::max(x, y); }},
        {"bminimum", [](double x, double y) { return x != x ? x : y != y ? y : std::min(x, y); }},
        {"eq", [](double x, double y) { return double(x == y); }}, {"ne", [](double x, double y) { return double(x != y); }},
        {"lt", [](double x, double y) { return double(x < y); }}, {"le", [](double x, double y) { return double(x <= y); }},
        {"gt", [](double x, double y) { return double(x > y); }}, {"ge", [](double x, double y) { return double(x >= y); }}};
    auto found = ops.find(op);
    if (found == ops.end()) fail("binary op " + op);
    return found->second;
}

static void launch(const std::string &name, Arguments arguments) {
    const size_t split = name.rfind('_');
    const std::string op = name.substr(0, split), last = name.substr(split + 1);
    const auto starts = [&](const char *start) { return name.rfind(start, 0) == 0; };
    if (starts("copy2d_")) {
        const Type type = type_named(last);
        const Array from = arguments.array(type), to = arguments.array(type);
        const uint32_t rows = arguments.take<uint32_t>(), columns = arguments.take<uint32_t>();
        const size_t step = arguments.take<uint32_t>(), to_step = arguments.take<uint32_t>();
        from.check((rows - 1) * step + columns), to.check((rows - 1) * to_step + columns);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++) to.set(i * to_step + j, from.get(i * step + j));
        return;
    }
    if (starts("ia_")) {
        const Type type = type_named(last);
        const Array ids = arguments.array(type_named(op.substr(3)));
        const size_t chosen = arguments.size();
        const Array from = arguments.array(type), to = arguments.array(type);
        const size_t left = arguments.size(), source = arguments.size(), target = arguments.size();
        const size_t right = arguments.size();
        ids.check(chosen), from.check(left * source * right), to.check(left * target * right);
        for (size_t i = 0; i < left; i++)
            for (size_t j = 0; j < chosen; j++)
                for (size_t k = 0; k < right; k++) {
                    const size_t place = (i * target + (size_t)ids.get(j)) * right + k;
                    to.set(place, to.get(place) + from.get((i * chosen + j) * right + k));
                }
        return;
    }
    if (starts("sa_")) {
        const Type type = type_named(last);
        const Array ids = arguments.array(type_named(op.substr(3)));
        const Array from = arguments.array(type), to = arguments.array(type);
        const size_t left = arguments.size(), source = arguments.size(), target = arguments.size();
        const size_t right = arguments.size();
        ids.check(left * source * right), from.check(left * source * right), to.check(left * target * right);
        for (size_t i = 0; i < left; i++)
            for (size_t j = 0; j < source * right; j++) {
                const size_t id = ids.get(i * source * right + j);
                const size_t place = (i * target + id) * right + j % right;
                to.set(place, to.get(place) + from.get(i * source * right + j));
            }
        return;
    }
    const size_t count = arguments.size();
    if (starts("fast_")) {
        const Type type = type_named(last);
        const size_t terms = arguments.size(), rank = arguments.size();
        const Shape shape(rank, arguments.take<uint64_t>(), 1);
        const bool is_small = op == "fast_sum_small", is_index = op.find("arg") != std::string::npos;
        const size_t results = is_small ? count : count / terms;
        const Array from = arguments.array(type), to = arguments.array(is_index ? U32 : type);
        from.check(shape.extent(results * terms, 0)), to.check(results);
        const bool is_min = op == "fast_min" || op == "fast_argmin";
        if (op != "fast_sum" && !is_small && !is_min && op != "fast_max" && op != "fast_argmax") fail(name);
        for (size_t i = 0; i < results; i++) {
            double sum = 0, best = 0;
            size_t at = 0;
            for (size_t j = 0; j < terms; j++) {
                const double x = from.get(shape.place(i * terms + j, 0));
                sum += x;
                if (j == 0 || (is_min ? x < best : x > best)) best = x, at = j;
            }
            to.set(i, is_index ? at : op == "fast_sum" || is_small ? sum : best);
        }
        return;
    }
    if (starts("gather_")) {
        const Type type = type_named(last);
        const Array ids = arguments.array(type_named(op.substr(7)));
        const Array from = arguments.array(type), to = arguments.array(type);
        const size_t left = arguments.size(), source = arguments.size(), chosen = arguments.size();
        const size_t right = arguments.size();
        ids.check(count), from.check(left * source * right), to.check(count);
        for (size_t i = 0; i < count; i++) {
            const size_t before = i / (chosen * right), id = ids.get(i);
            to.set(i, from.get((before * source + id) * right + i % right));
        }
        return;
    }
    const size_t rank = arguments.size();
    const uint64_t info = arguments.take<uint64_t>();
    if (starts("is_")) {
        const Type type = type_named(last);
        const Shape ids_shape(rank, info, 1);
        const Array ids = arguments.array(type_named(op.substr(3)));
        const Array from = arguments.array(type), to = arguments.array(type);
        const size_t left = arguments.size(), source = arguments.size(), chosen = arguments.size();
        const size_t right = arguments.size();
        from.check(left * source * right), to.check(count), ids.check(chosen);
        for (size_t i = 0; i < count; i++) {
            const size_t before = i / (chosen * right), id = ids.get(i / right % chosen);
            if (id >= source) fail("index out of range in " + name);
            to.set(i, from.get((before * source + id) * right + i % right));
        }
    } else if (starts("where_")) {
        const Type type = type_named(last);
        const Shape shape(rank, info, 3);
        const Array ids = arguments.array(type_named(op.substr(6)));
        const Array yes = arguments.array(type), no = arguments.array(type), to = arguments.array(type);
        ids.check(shape.extent(count, 0)), yes.check(shape.extent(count, 1));
        no.check(shape.extent(count, 2)), to.check(count);
        for (size_t i = 0; i < count; i++)
            to.set(i, ids.get(shape.place(i, 0)) != 0 ? yes.get(shape.place(i, 1)) : no.get(shape.place(i, 2)));
    } else if (starts("const_set_")) {
        const Type type = type_named(last);
        const Shape shape(rank, info, 1);
        const double value = arguments.number(type);
        const Array to = arguments.array(type).check(shape.extent(count, 0));
        for (size_t i = 0; i < count; i++) to.set(shape.place(i, 0), value);
    } else if (starts("cast_")) {
        const Shape shape(rank, info, 1);
        const Array from = arguments.array(type_named(op.substr(5))).check(shape.extent(count, 0));
        const Array to = arguments.array(type_named(last)).check(count);
        for (size_t i = 0; i < count; i++) to.set(i, from.get(shape.place(i, 0)));
    } else if (starts("affine_")) {
        const Type type = type_named(last);
        const Shape shape(rank, info, 1);
        const Array from = arguments.array(type).check(shape.extent(count, 0));
        const Array to = arguments.array(type).check(count);
        const double factor = arguments.number(type), term = arguments.number(type);
        for (size_t i = 0; i < count; i++) to.set(i, from.get(shape.place(i, 0)) * factor + term);
    } else if (starts("upowf_")) {
        const Type type = type_named(last);
        const Shape shape(rank, info, 1);
        const double power = arguments.number(type);
        const Array from = arguments.array(type).check(shape.extent(count, 0));
        const Array to = arguments.array(type).check(count);
        for (size_t i = 0; i < count; i++) to.set(i, std::pow(from.get(shape.place(i, 0)), power));
    } else if (starts("u")) {
        const Type type = type_named(last);
        const Shape shape(rank, info, 1);
        const Array from = arguments.array(type).check(shape.extent(count, 0));
        const Array to = arguments.array(type).check(count);
        const Unary apply = unary(op.substr(1));
        for (size_t i = 0; i < count; i++) to.set(i, apply(from.get(shape.place(i, 0))));
    } else {
        const Type type = type_named(last);
        const Shape shape(rank, info, 2);
        const Array left = arguments.array(type).check(shape.extent(count, 0));
        const Array right = arguments.array(type).check(shape.extent(count, 1));
        const Array to = arguments.array(starts("b") ? type : U8).check(count);
        const Binary apply = binary(op);
        for (size_t i = 0; i < count; i++)
            to.set(i, apply(left.get(shape.place(i, 0)), right.get(shape.place(i, 1))));
    }
}

/* ---- the driver ---- */

typedef int Status;
enum { DEVICES = 4 };
static thread_local void *current;

EXPORT Status cuInit(unsigned) { return 0; }
EXPORT Status cuDeviceGet(int *device, int number) { *device = number; return number < DEVICES ? 0 : 101; }
EXPORT Status cuDeviceGetCount(int *count) { *count = DEVICES; return 0; }
EXPORT Status cuDeviceGetAttribute(int *value, int attribute, int) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 1; /* compute capability; memory pools */
    return 0;
}
EXPORT Status cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)(size_t)(device + 1); return 0; }
EXPORT Status cuDevicePrimaryCtxRelease_v2(int) { return 0; }
EXPORT Status cuCtxGetCurrent(void **context) { *context = current; return 0; }
EXPORT Status cuCtxSetCurrent(void *context) { current = context; return 0; }
EXPORT Status cuCtxSynchronize(void) { return 0; }
EXPORT Status cuStreamCreate(void **stream, unsigned) { static size_t next = 16; *stream = (void *)next++; return 0; }
EXPORT Status cuStreamDestroy_v2(void *) { return 0; }
EXPORT Status cuStreamSynchronize(void *) { return 0; }
EXPORT Status cuStreamWaitEvent(void *, void *, unsigned) { return 0; }
EXPORT Status cuEventCreate(void **event, unsigned) { static size_t next = 16; *event = (void *)next++; return 0; }
EXPORT Status cuEventDestroy_v2(void *) { return 0; }
EXPORT Status cuEventRecord(void *, void *) { return 0; }
EXPORT Status cuEventSynchronize(void *) { return 0; }
EXPORT Status cuMemAlloc_v2(uint64_t *pointer, size_t length) { *pointer = memory().allocate(length); return 0; }
EXPORT Status cuMemAllocAsync(uint64_t *pointer, size_t length, void *) { return cuMemAlloc_v2(pointer, length); }
EXPORT Status cuMemFree_v2(uint64_t pointer) { memory().release(pointer); return 0; }
EXPORT Status cuMemFreeAsync(uint64_t pointer, void *) { return cuMemFree_v2(pointer); }
EXPORT Status cuMemGetInfo_v2(size_t *idle, size_t *all) { *idle = *all = SPACE; return 0; }
static void *of_cpu(const void *pointer) {
    if (memory().holds((uint64_t)pointer)) fail("a pointer of the GPU is used on the CPU");
    return const_cast<void *>(pointer);
}
EXPORT Status cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t length, void *) {
    memcpy(memory().at(to, length), of_cpu(from), length);
    return 0;
}
EXPORT Status cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t length, void *) {
    memcpy(of_cpu(to), memory().at(from, length), length);
    return 0;
}
EXPORT Status cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t length, void *) {
    memmove(memory().at(to, length), memory().at(from, length), length);
    return 0;
}
EXPORT Status cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t length) { return cuMemcpyHtoDAsync_v2(to, from, length, nullptr); }
EXPORT Status cuMemcpyDtoH_v2(void *to, uint64_t from, size_t length) { return cuMemcpyDtoHAsync_v2(to, from, length, nullptr); }
EXPORT Status cuMemsetD8Async(uint64_t to, unsigned char value, size_t length, void *) {
    memset(memory().at(to, length), value, length);
    return 0;
}
EXPORT Status cuModuleLoadData(void **module, const void *) { *module = (void *)1; return 0; }
EXPORT Status cuModuleUnload(void *) { return 0; }
EXPORT Status cuModuleGetFunction(void **function, void *, const char *name) { *function = strdup(name); return 0; }
EXPORT Status cuLaunchKernel(void *function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                             void *, void **arguments, void **) {
    kernel = (const char *)function;
    launch(kernel, {arguments});
    kernel = "no kernel";
    return 0;
}
EXPORT Status cuGetErrorString(Status status, const char **text) {
    *text = status == 101 ? "no such device" : "an error";
    return 0;
}
EXPORT Status cuGetErrorName(Status status, const char **text) { return cuGetErrorString(status, text); }

EXPORT Status cuStreamIsCapturing(void *, int *status) { *status = 0; return 0; }

/* Functions that programs refer to, and do not call here. */
#define UNKNOWN(name) EXPORT Status name(void) { fail(#name); }
UNKNOWN(cuCtxDestroy_v2)
UNKNOWN(cuMemcpyPeerAsync)
UNKNOWN(cuModuleLoad)
UNKNOWN(cudnnGetConvolutionForwardAlgorithm_v7)
UNKNOWN(cudnnSetTensor4dDescriptorEx)

/* ---- cuRAND and cuBLAS ---- */

EXPORT Status curandCreateGenerator(void **generator, int) { *generator = (void *)1; return 0; }
EXPORT Status curandDestroyGenerator(void *) { return 0; }
EXPORT Status curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return 0; }
EXPORT Status curandSetStream(void *, void *) { return 0; }

EXPORT Status cublasCreate_v2(void **handle) { *handle = (void *)1; return 0; }
EXPORT Status cublasDestroy_v2(void *) { return 0; }
EXPORT Status cublasSetStream_v2(void *, void *) { return 0; }

static Type blas_type(int type) {
    switch (type) {
    case 0: return F32;
    case 1: return F64;
    case 2: return F16;
    case 14: return BF16;
    default: fail("cuBLAS's type " + std::to_string(type));
    }
}

/* Matrices in columns, as cuBLAS counts them. */
static void multiply(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, double alpha, Array a,
                     size_t lda, size_t step_a, Array b, size_t ldb, size_t step_b, double beta, Array c,
                     size_t ldc, size_t step_c, size_t batch) {
    if (alpha != 1 || beta != 0) fail("a product with factors");
    const auto left = a.numbers((batch - 1) * step_a + ((transpose_a ? m : k) - 1) * lda + (transpose_a ? k : m));
    const auto right = b.numbers((batch - 1) * step_b + ((transpose_b ? k : n) - 1) * ldb + (transpose_b ? n : k));
    c.check((batch - 1) * step_c + (n - 1) * ldc + m);
    std::vector<double> column(m);
    for (size_t z = 0; z < batch; z++)
        for (size_t j = 0; j < n; j++) {
            std::fill(column.begin(), column.end(), 0);
            for (size_t p = 0; p < k; p++) {
                const double factor = right[z * step_b + (transpose_b ? p * ldb + j : j * ldb + p)];
                const double *other = &left[z * step_a + (transpose_a ? p : p * lda)];
                const size_t step = transpose_a ? lda : 1;
                for (size_t i = 0; i < m; i++) column[i] += factor * other[i * step];
            }
            for (size_t i = 0; i < m; i++) c.set(z * step_c + j * ldc + i, column[i]);
        }
}

EXPORT Status cublasGemmStridedBatchedEx(void *, int ta, int tb, int m, int n, int k, const void *alpha,
                                         uint64_t a, int type_a, int lda, long long step_a, uint64_t b, int type_b,
                                         int ldb, long long step_b, const void *beta, uint64_t c, int type_c,
                                         int ldc, long long step_c, int batch, int, int) {
    multiply(ta, tb, m, n, k, *(const float *)alpha, {blas_type(type_a), a}, lda, step_a, {blas_type(type_b), b},
             ldb, step_b, *(const float *)beta, {blas_type(type_c), c}, ldc, step_c, batch);
    return 0;
}
EXPORT Status cublasDgemmStridedBatched(void *, int ta, int tb, int m, int n, int k, const double *alpha,
                                        uint64_t a, int lda, long long step_a, uint64_t b, int ldb,
                                        long long step_b, const double *beta, uint64_t c, int ldc,
                                        long long step_c, int batch) {
    multiply(ta, tb, m, n, k, *alpha, {F64, a}, lda, step_a, {F64, b}, ldb, step_b, *beta, {F64, c}, ldc, step_c,
             batch);
    return 0;
}

/* ---- cuDNN ---- */

struct Description {
    Type type;
    int n, c, h, w; /* of a kernel: outputs, inputs, height, width */
    size_t place(int i, int j, int y, int x) const { return ((size_t(i) * h + y) * w + x) * c + j; }
    size_t count() const { return size_t(n) * c * h * w; }
};
struct ConvolutionDescription {
    int pad_h, pad_w, stride_h, stride_w;
    Type type;
    int math;
};

static Type dnn_type(int type) {
    switch (type) {
    case 0: return F32;
    case 2: return F16;
    case 9: return BF16;
    default: fail("cuDNN's type " + std::to_string(type));
    }
}

EXPORT Status cudnnCreate(void **handle) { *handle = new char; return 0; }
EXPORT Status cudnnDestroy(void *handle) { delete (char *)handle; return 0; }
EXPORT Status cudnnSetStream(void *, void *) { return 0; }
EXPORT Status cudnnCreateTensorDescriptor(Description **description) { *description = new Description(); return 0; }
EXPORT Status cudnnDestroyTensorDescriptor(Description *description) { delete description; return 0; }
EXPORT Status cudnnSetTensor4dDescriptor(Description *description, int format, int type, int n, int c, int h, int w) {
    if (format != 1) fail("cuDNN maps that are not NHWC");
    *description = {dnn_type(type), n, c, h, w};
    return 0;
}
EXPORT Status cudnnCreateFilterDescriptor(Description **description) { return cudnnCreateTensorDescriptor(description); }
EXPORT Status cudnnDestroyFilterDescriptor(Description *description) { return cudnnDestroyTensorDescriptor(description); }
EXPORT Status cudnnSetFilter4dDescriptor(Description *description, int type, int format, int k, int c, int h, int w) {
    return cudnnSetTensor4dDescriptor(description, format, type, k, c, h, w);
}
EXPORT Status cudnnCreateConvolutionDescriptor(ConvolutionDescription **convolution) {
    *convolution = new ConvolutionDescription();
    return 0;
}
EXPORT Status cudnnDestroyConvolutionDescriptor(ConvolutionDescription *convolution) { delete convolution; return 0; }
EXPORT Status cudnnSetConvolution2dDescriptor(ConvolutionDescription *convolution, int pad_h, int pad_w, int stride_h,
                                              int stride_w, int dilation_h, int dilation_w, int mode, int type) {
    if (dilation_h != 1 || dilation_w != 1 || mode != 1) fail("a convolution that is dilated or flipped");
    *convolution = {pad_h, pad_w, stride_h, stride_w, dnn_type(type), 0};
    return 0;
}
EXPORT Status cudnnSetConvolutionMathType(ConvolutionDescription *convolution, int math) { convolution->math = math; return 0; }

/* Calls `term` for each product of an input, a weight and an output that belong together. */
template <typename Term>
static void for_each_product(const Description &x, const Description &w, const ConvolutionDescription &convolution,
                             const Description &y, const Term &term) {
    const int height = (x.h + 2 * convolution.pad_h - w.h) / convolution.stride_h + 1;
    const int width = (x.w + 2 * convolution.pad_w - w.w) / convolution.stride_w + 1;
    if (x.type != w.type || x.type != y.type || convolution.type != F32) fail("cuDNN: types that do not fit");
    if (convolution.math != (x.type == F32 ? 3 : 1)) fail("cuDNN: an unexpected kind of products");
    if (x.n != y.n || x.c != w.c || w.n != y.c || y.h != height || y.w != width) fail("cuDNN: sizes that do not fit");
    for (int n = 0; n < y.n; n++)
        for (int i = 0; i < y.h; i++)
            for (int j = 0; j < y.w; j++)
                for (int a = 0; a < w.h; a++)
                    for (int b = 0; b < w.w; b++) {
                        const int row = i * convolution.stride_h + a - convolution.pad_h;
                        const int column = j * convolution.stride_w + b - convolution.pad_w;
                        if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
                        for (int o = 0; o < w.n; o++)
                            for (int c = 0; c < w.c; c++)
                                term(x.place(n, c, row, column), w.place(o, c, a, b), y.place(n, o, i, j));
                    }
}

/* The bytes that every pass asks for. */
enum { WORKSPACE = 64 };

static void check(const void *alpha, const void *beta, size_t workspace) {
    if (*(const float *)alpha != 1 || *(const float *)beta != 0) fail("cuDNN: factors");
    if (workspace != WORKSPACE) fail("cuDNN: a workspace of another size than asked for");
}
/* The only algorithm of each pass that is deterministic and computes NHWC. */
#define WORKSPACE_OF(name)                                                                              \
    EXPORT Status name(void *, Description *, Description *, ConvolutionDescription *, Description *,   \
                       int algorithm, size_t *size) {                                                   \
        if (algorithm != 1) fail("cuDNN: algorithm " + std::to_string(algorithm));                      \
        *size = WORKSPACE;                                                                              \
        return 0;                                                                                       \
    }
WORKSPACE_OF(cudnnGetConvolutionForwardWorkspaceSize)
WORKSPACE_OF(cudnnGetConvolutionBackwardDataWorkspaceSize)
WORKSPACE_OF(cudnnGetConvolutionBackwardFilterWorkspaceSize)

static void finish(const Description &description, uint64_t pointer, const std::vector<double> &sums) {
    const Array to = Array{description.type, pointer}.check(sums.size());
    for (size_t i = 0; i < sums.size(); i++) to.set(i, sums[i]);
}

EXPORT Status cudnnConvolutionForward(void *, const void *alpha, Description *x, uint64_t px, Description *w,
                                      uint64_t pw, ConvolutionDescription *convolution, int, uint64_t, size_t space,
                                      const void *beta, Description *y, uint64_t py) {
    check(alpha, beta, space);
    const auto ax = Array{x->type, px}.numbers(x->count()), aw = Array{w->type, pw}.numbers(w->count());
    std::vector<double> sums(y->count());
    for_each_product(*x, *w, *convolution, *y, [&](size_t i, size_t j, size_t k) { sums[k] += ax[i] * aw[j]; });
    finish(*y, py, sums);
    return 0;
}
EXPORT Status cudnnConvolutionBackwardData(void *, const void *alpha, Description *w, uint64_t pw, Description *y,
                                           uint64_t py, ConvolutionDescription *convolution, int, uint64_t,
                                           size_t space, const void *beta, Description *x, uint64_t px) {
    check(alpha, beta, space);
    const auto aw = Array{w->type, pw}.numbers(w->count()), ay = Array{y->type, py}.numbers(y->count());
    std::vector<double> sums(x->count());
    for_each_product(*x, *w, *convolution, *y, [&](size_t i, size_t j, size_t k) { sums[i] += aw[j] * ay[k]; });
    finish(*x, px, sums);
    return 0;
}
EXPORT Status cudnnConvolutionBackwardFilter(void *, const void *alpha, Description *x, uint64_t px, Description *y,
                                             uint64_t py, ConvolutionDescription *convolution, int, uint64_t,
                                             size_t space, const void *beta, Description *w, uint64_t pw) {
    check(alpha, beta, space);
    const auto ax = Array{x->type, px}.numbers(x->count()), ay = Array{y->type, py}.numbers(y->count());
    std::vector<double> sums(w->count());
    for_each_product(*x, *w, *convolution, *y, [&](size_t i, size_t j, size_t k) { sums[j] += ax[i] * ay[k]; });
    finish(*w, pw, sums);
    return 0;
}
EXPORT const char *cudnnGetErrorString(Status) { return "an error of cuDNN"; }

/* ---- NCCL, for ranks that are threads of one process ---- */

struct Id { char bytes[128]; };

/* A meeting of all ranks: each brings something, and leaves once all have done their part. */
struct World {
    std::mutex mutex;
    std::condition_variable changed;
    int size = 0, arrived = 0;
    long round = 0;
    std::vector<int> devices;
    std::vector<std::vector<std::pair<uint64_t, size_t>>> sent; /* by rank, then by receiver */

    void meet(std::unique_lock<std::mutex> &lock) {
        const long now = round;
        if (++arrived == size) {
            arrived = 0;
            round++;
            changed.notify_all();
        } else
            changed.wait(lock, [&] { return round != now; });
    }
};
struct Communicator {
    World *world;
    int rank;
};
struct Message {
    Communicator *communicator;
    uint64_t pointer;
    size_t length;
    int peer;
    bool is_sent;
};
static thread_local std::vector<Message> group;
static thread_local bool in_group;

EXPORT Status ncclGetUniqueId(Id *id) {
    static std::mutex mutex;
    static int next = 1;
    std::lock_guard<std::mutex> guard(mutex);
    memset(id, 0, sizeof *id);
    snprintf(id->bytes, sizeof id->bytes, "world %d", next++);
    return 0;
}
EXPORT Status ncclCommInitRank(Communicator **communicator, int size, Id id, int rank) {
    static std::mutex mutex;
    static std::map<std::string, World *> worlds;
    World *world;
    {
        std::lock_guard<std::mutex> guard(mutex);
        if (strncmp(id.bytes, "world ", 6)) return 4;
        World *&found = worlds[id.bytes];
        if (!found) found = new World;
        world = found;
    }
    std::unique_lock<std::mutex> lock(world->mutex);
    world->size = size;
    world->sent.resize(size, std::vector<std::pair<uint64_t, size_t>>(size));
    world->devices.push_back((int)(size_t)current);
    world->meet(lock);
    std::vector<int> devices = world->devices;
    std::sort(devices.begin(), devices.end());
    if (current == nullptr || std::unique(devices.begin(), devices.end()) != devices.end()) return 5;
    *communicator = new Communicator{world, rank};
    return 0;
}
EXPORT Status ncclCommAbort(Communicator *communicator) { delete communicator; return 0; }

static void expect_bytes(int type) {
    if (type != 1) fail("NCCL's type " + std::to_string(type));
}

/* Every rank has sent to every other what `sent` says, and writes what came to `received`. */
static void exchange(Communicator &communicator, const std::vector<std::pair<uint64_t, size_t>> &sent,
                     const std::vector<std::pair<uint64_t, size_t>> &received) {
    World &world = *communicator.world;
    std::unique_lock<std::mutex> lock(world.mutex);
    world.sent[communicator.rank] = sent;
    world.meet(lock);
    for (int from = 0; from < world.size; from++) {
        auto [pointer, length] = world.sent[from][communicator.rank];
        if (length != received[from].second) fail("NCCL: messages of different lengths");
        memmove(memory().at(received[from].first, length), memory().at(pointer, length), length);
    }
    world.meet(lock);
}

EXPORT Status ncclAllGather(uint64_t own, uint64_t all, size_t length, int type, Communicator *communicator, void *) {
    expect_bytes(type);
    std::vector<std::pair<uint64_t, size_t>> sent(communicator->world->size, {own, length}), received;
    for (int rank = 0; rank < communicator->world->size; rank++) received.push_back({all + rank * length, length});
    exchange(*communicator, sent, received);
    return 0;
}
EXPORT Status ncclBroadcast(uint64_t own, uint64_t to, size_t length, int type, int root, Communicator *communicator,
                            void *) {
    expect_bytes(type);
    const int size = communicator->world->size;
    std::vector<std::pair<uint64_t, size_t>> sent(size, {0, 0}), received(size, {0, 0});
    if (communicator->rank == root) sent.assign(size, {own, length});
    received[root] = {to, length};
    exchange(*communicator, sent, received);
    return 0;
}
EXPORT Status ncclGroupStart(void) { in_group = true; return 0; }
EXPORT Status ncclSend(uint64_t from, size_t length, int type, int peer, Communicator *communicator, void *) {
    expect_bytes(type);
    if (!in_group) fail("NCCL: a message outside of a group");
    group.push_back({communicator, from, length, peer, true});
    return 0;
}
EXPORT Status ncclRecv(uint64_t to, size_t length, int type, int peer, Communicator *communicator, void *) {
    expect_bytes(type);
    if (!in_group) fail("NCCL: a message outside of a group");
    group.push_back({communicator, to, length, peer, false});
    return 0;
}
EXPORT Status ncclGroupEnd(void) {
    in_group = false;
    if (group.empty()) return 0;
    Communicator *communicator = group[0].communicator;
    std::vector<std::pair<uint64_t, size_t>> sent(communicator->world->size, {0, 0}), received = sent;
    for (const Message &message : group) (message.is_sent ? sent : received)[message.peer] = {message.pointer, message.length};
    group.clear();
    exchange(*communicator, sent, received);
    return 0;
}
