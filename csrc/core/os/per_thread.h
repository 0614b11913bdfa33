#ifndef NPYFAST_CORE_OS_PER_THREAD_H_
#define NPYFAST_CORE_OS_PER_THREAD_H_

#include <pthread.h>

#include <new>

// For variables of a thread that must be there without being made: those of a library that was
// loaded later are otherwise allocated when a thread first touches them, which ends the process
// where there is no memory, and is not allowed in a handler of signals. The room for them is small:
// pointers only.
#define NPYFAST_THREAD_LOCAL [[gnu::tls_model("initial-exec")]] thread_local

namespace npyfast {

// An object of type T for each thread that asks for it, until that thread ends.
//
// As a thread_local T, but where there is no memory for it, Get() throws instead of ending the
// process. `Tag` tells several of one type apart.
template <typename T, typename Tag>
class PerThread {
 public:
  // This thread's object, made by T() if it has none yet. Throws std::bad_alloc.
  static T& Get() {
    if (object_ == nullptr) [[unlikely]]
      Make();
    return *object_;
  }

 private:
  static void Make() {
    T* const made = new T();
    if (!key_.made || ::pthread_setspecific(key_.key, made) != 0) {
      delete made;
      throw std::bad_alloc();
    }
    object_ = made;
  }

  // A call of Get() while the thread ends makes a new object, and this is called again for it.
  static void Delete(void* object) {
    object_ = nullptr;
    delete static_cast<T*>(object);
  }

  struct Key {
    pthread_key_t key = 0;
    bool made = ::pthread_key_create(&key, Delete) == 0;
  };

  static inline const Key key_;  // made when the library is loaded
  NPYFAST_THREAD_LOCAL static inline T* object_ = nullptr;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_PER_THREAD_H_
