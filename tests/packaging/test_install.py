"""What `make install` installs: every file in its place, the README's C compiled against it, manual
pages, completion, the configuration, and the library's promises to programs linked with it."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import installed
from installed import ROOT, path, read, run

COMPLETE = r"""
source "$1"; shift
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_hydrant
printf '%s\n' "${COMPREPLY[@]}"
"""


def readme_code(language):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.findall(r"^```%s\n(.*?)^```" % language, file.read(), re.M | re.S)


def commands():
    """As `hydrant help` has them."""
    return re.findall(r"^  ([a-z]+) .*  \S", run(path("usr/bin/hydrant"), "help"), re.M)


class Files(unittest.TestCase):
    def test_each_file_is_in_its_place(self):
        for name in ("usr/bin/hydrant", "usr/lib/libshm-client.so.1", "usr/lib/libshm-client.a",
                     "usr/include/shm_client.h", "usr/lib/pkgconfig/shm-client.pc",
                     "usr/lib/systemd/system/hydrant.service", "usr/lib/sysusers.d/hydrant.conf",
                     "usr/lib/tmpfiles.d/hydrant.conf", "usr/share/doc/hydrant/README.md",
                     "usr/share/bash-completion/completions/hydrant", "etc/hydrant/hydrant.ini"):
            self.assertTrue(os.path.exists(path(name)), name)
        self.assertIn("SONAME               libshm-client.so.1",
                      run("objdump", "-p", path("usr/lib/libshm-client.so")))

    def test_no_word_is_left_to_be_filled_in(self):
        for name in ("usr/lib/pkgconfig/shm-client.pc", "usr/lib/systemd/system/hydrant.service"):
            self.assertNotRegex(read(name), r"@[A-Z]+@")

    def test_uninstall_leaves_the_configuration_alone(self):
        scratch = tempfile.mkdtemp(dir="/var/tmp")
        self.addCleanup(shutil.rmtree, scratch)
        installed.make("install", "DESTDIR=" + scratch)
        with open(os.path.join(scratch, "etc/hydrant/hydrant.ini"), "w", encoding="utf-8") as file:
            file.write("; mine\n")
        installed.make("install", "DESTDIR=" + scratch)
        installed.make("uninstall", "DESTDIR=" + scratch)
        left = [os.path.relpath(os.path.join(folder, name), scratch)
                for folder, _, names in os.walk(scratch) for name in names]
        self.assertEqual(left, ["etc/hydrant/hydrant.ini"])
        with open(os.path.join(scratch, left[0]), encoding="utf-8") as file:
            self.assertEqual(file.read(), "; mine\n")

    def test_the_configuration_is_sound_and_has_the_places_of_a_service(self):
        run(path("usr/bin/hydrant"), "check", path("etc/hydrant/hydrant.ini"))
        keys = re.findall(r"^[a-z].*", read("etc/hydrant/hydrant.ini"), re.M)
        self.assertEqual(keys, ["data_dir = /var/lib/hydrant", "shm_dir = /dev/shm/hydrant",
                                "shm_group = hydrant"])


class Library(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.folder)

    def compile(self, source, name="example.c", compiler=("gcc",)):
        """With what pkg-config says, as a user would. The program's path."""
        flags = run("pkg-config", "--cflags", "--libs", "shm-client",
                    env=installed.compile_environment()).split()
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(source)
        program = os.path.join(self.folder, "example")
        run(*compiler, "-Wall", "-Wextra", "-Werror", "-o", program, file.name, *flags)
        return program

    def agent(self):
        """An agent that has everything in the test's folder; its environment."""
        environment = installed.run_environment(
            HYDRANT_SHM_DIR=self.folder + "/rings", HYDRANT_HTTP="unix:%s/http" % self.folder)
        agent = subprocess.Popen(
            [path("usr/bin/hydrant"), "agent", "--data-dir", self.folder + "/data"],
            env=environment, stderr=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(agent.stderr.close)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.terminate)
        for line in agent.stderr:
            if "rings in" in line:
                return environment
        raise AssertionError("the agent does not start")

    def delivered(self, environment, stream):
        run(path("usr/bin/hydrant"), "flush", stream, env=environment)
        text = ""
        for name in glob.glob("%s/data/out/%s/*.json" % (self.folder, stream)):
            with open(name, encoding="utf-8") as file:
                text += file.read()
        return text

    def test_the_first_example_of_the_readme_delivers_its_event(self):
        source = readme_code("c")[0]
        environment = self.agent()
        run(self.compile(source), env=environment)
        self.assertEqual(self.delivered(environment, "payments"), '{"user":"ada","amount":12.5}\n')

    def test_the_example_in_cpp_delivers_its_event(self):
        environment = self.agent()
        run(self.compile(readme_code("cpp")[0], "example.cpp", ("g++", "-std=c++17")),
            env=environment)
        self.assertEqual(self.delivered(environment, "clicks"), '{"user":"ada"}\n')

    def test_the_example_of_records_delivers_its_record(self):
        first, second = readme_code("c")[:2]
        declared, body = second.split("\n\n", 1)
        begin = first.index("    rc = shmc_stream(")
        end = first.index("    if (rc == 0) {\n        rc = shmc_flush(")
        source = (first[:begin].replace("int main(void)", declared + "\n\nint main(void)")
                  + "    int64_t now_us = 1700000000000000;\n    uint16_t schema;\n"
                  + "    rc = shmc_stream(ring, \"payments\", &stream);\n" + body
                  + first[end:])
        source = source.replace("    static const char event[] = "
                                "\"{\\\"user\\\":\\\"ada\\\",\\\"amount\\\":12.5}\";\n", "")
        environment = self.agent()
        run(self.compile(source), env=environment)
        text = self.delivered(environment, "payments")
        self.assertIn('"user":"ada","country":"DE"', text)
        self.assertEqual(text.count("\n"), 1)

    def test_it_needs_libc_alone(self):
        needed = re.findall(r"NEEDED +(\S+)",
                            run("objdump", "-p", path("usr/lib/libshm-client.so")))
        self.assertLessEqual(set(needed), {"libc.so.6", "ld-linux-x86-64.so.2",
                                           "ld-linux-aarch64.so.1"})

    def test_programs_that_were_linked_with_an_earlier_one_find_all_as_it_was(self):
        """What has been added is no failure here; `make abi` writes it down."""
        dump = os.path.join(ROOT, "etc/abi/libshm-client.abi")
        done = subprocess.run(["abidiff", "--no-added-syms", "--headers-dir2", "include",
                               "--drop-private-types", dump, path("usr/lib/libshm-client.so.1")],
                              cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_function_of_the_header_is_exported_and_written_down(self):
        declared = set(re.findall(r"\b(shmc_[a-z0-9_]+)\(", re.sub(
            r"/\*.*?\*/", "", read("usr/include/shm_client.h"), flags=re.S)))
        exported = set(re.findall(r" T (shmc_[a-z0-9_]+)@@SHMC_",
                                  run("nm", "-D", path("usr/lib/libshm-client.so"))))
        self.assertEqual(declared, exported)
        with open(os.path.join(ROOT, "etc/abi/libshm-client.abi"), encoding="utf-8") as file:
            self.assertEqual(set(re.findall(r"<elf-symbol name='(shmc_[a-z0-9_]+)'", file.read())),
                             exported, "`make abi` writes down what is new")


class Pages(unittest.TestCase):
    def test_manual_pages_are_without_a_warning(self):
        pages = glob.glob(path("usr/share/man/man*/*"))
        self.assertGreater(len(pages), 40)
        run("mandoc", "-T", "lint", "-W", "warning", *pages)

    def test_each_command_and_each_option_has_its_place(self):
        self.assertIn("agent", commands())
        for name in commands():
            page = "hydrant" if name == "help" else "hydrant-" + name
            text = read("usr/share/man/man1", page + ".1").replace("\\", "")
            for option in re.findall(r"--[a-z-]+", run(path("usr/bin/hydrant"), "help", name)):
                self.assertIn(option, text, page)

    def test_each_key_of_the_configuration_has_its_place(self):
        text = read("usr/share/man/man5/hydrant.ini.5")
        keys = re.findall(r"^#?([a-z][a-z0-9_]*) =", read("etc/hydrant/hydrant.ini"), re.M)
        self.assertGreater(len(keys), 100)
        for key in set(keys):
            self.assertEqual(text.count(".It \\fB%s\\fR = " % key), keys.count(key), key)

    def test_each_function_has_a_page(self):
        symbols = run("nm", "-D", path("usr/lib/libshm-client.so"))
        for name in re.findall(r" T (shmc_\w+)@@", symbols):
            self.assertIn(".It Fn %s " % name, read("usr/share/man/man3", name + ".3"))


class Completion(unittest.TestCase):
    def complete(self, *words, **environment):
        text = run("bash", "-c", COMPLETE, "bash",
                   path("usr/share/bash-completion/completions/hydrant"),
                   path("usr/bin/hydrant"), *words, env=installed.run_environment(**environment))
        return text.split()

    def test_commands(self):
        self.assertLessEqual(set(commands()), set(self.complete("")))
        self.assertEqual(self.complete("fl"), ["flush"])
        self.assertEqual(self.complete("wal", "v"), ["verify"])
        self.assertEqual(self.complete("ring", "s"), ["show"])
        self.assertEqual(self.complete("help", "met"), ["metrics"])
        self.assertEqual(self.complete("nonsense", "-"), ["--help"])

    def test_options_are_those_of_the_command(self):
        for name in commands():
            shown = run(path("usr/bin/hydrant"), "help", name)
            for option in self.complete(name, "--"):
                self.assertTrue(option == "--help" or option in shown, (name, option))
        self.assertIn("--ring-bytes", self.complete("send", "x", "--r"))
        self.assertEqual(self.complete("wal", "dump", "--typ"), ["--type"])

    def test_values(self):
        self.assertEqual(self.complete("agent", "--config", "etc/hydrant.i"), ["etc/hydrant.ini"])
        self.assertEqual(self.complete("check", "etc/hydrant.i"), ["etc/hydrant.ini"])
        self.assertEqual(self.complete("send", "--timeout", ""), [])
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            run("sh", "-c", "echo x | \"$0\" send s", path("usr/bin/hydrant"),
                env=installed.run_environment(HYDRANT_SHM_DIR=folder))
            self.assertRegex(" ".join(self.complete("ring", "show", "se", HYDRANT_SHM_DIR=folder)),
                             r"^send\.\d+\.[0-9a-f]+\.ring$")


if __name__ == "__main__":
    unittest.main()
