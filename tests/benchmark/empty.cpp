// The program that the launchers of startup.cpp launch. Linked static, it does nothing; its exit
// status proves that it ran.
int main() {
  return 42;
}
