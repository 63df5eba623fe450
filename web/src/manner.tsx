// How this person wants things shown: language, zone of times. Kept in this browser.

import { useLocalStorage } from "@mantine/hooks";
import { createContext, type ReactNode, useContext, useEffect, useMemo } from "react";
import * as format from "./format";
import { LANGUAGES, type Language, speak } from "./i18n";

interface Chosen extends format.Manner {
  language: Language;
  setLanguage: (language: Language) => void;
  setUtc: (utc: boolean) => void;
}

const Context = createContext<Chosen | null>(null);

const KEY = "tidegate-language";

const preferred = (): Language => LANGUAGES.find((one) => navigator.language.startsWith(one)) ?? "en";

/** What the page begins in: it is shown when its words are there. */
export function begun(): Language {
  try {
    const held: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return LANGUAGES.find((one) => one === held) ?? preferred();
  } catch {
    return preferred();
  }
}

export function MannerProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useLocalStorage<Language>({
    key: KEY,
    defaultValue: preferred(),
    getInitialValueInEffect: false,
  });
  const [utc, setUtc] = useLocalStorage({ key: "tidegate-utc", defaultValue: false, getInitialValueInEffect: false });
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    void speak(language);
  }, [language]);
  const locale = language === "zh" ? "zh-CN" : "en-GB";
  const chosen = useMemo(
    () => ({ language, locale, utc, setLanguage, setUtc }),
    [language, locale, utc, setLanguage, setUtc],
  );
  return <Context value={chosen}>{children}</Context>;
}

export function useManner(): Chosen {
  const chosen = useContext(Context);
  if (!chosen) throw new Error("no MannerProvider");
  return chosen;
}

/** The functions of `format`, in this person's language and zone. */
export function useFormat() {
  const { locale, utc } = useManner();
  return useMemo(() => {
    const manner = { locale, utc };
    return {
      whole: (value: number | null | undefined) => format.whole(value, manner),
      short: (value: number | null | undefined) => format.short(value, manner),
      bytes: (value: number | null | undefined) => format.bytes(value, manner),
      duration: (value: number | null | undefined) => format.duration(value, manner),
      percent: (value: number | null | undefined) => format.percent(value, manner),
      figure: (value: number | null | undefined, unit: string) => format.figure(value, unit, manner),
      moment: (at: string | number | null | undefined) => format.moment(at, manner),
      near: (at: string | number | null | undefined) => format.near(at, manner),
      clock: (at: string | number | null | undefined) => format.clock(at, manner),
    };
  }, [locale, utc]);
}
