import type { ReactNode } from "react";
import { useEffect } from "react";

interface Given {
  title: string;
  hint?: string;
  actions?: ReactNode;
  children: ReactNode;
}

/** What is around a page that is not one task's: its title, what it is for, and what one can do on it. */
export function Page({ title, hint, actions, children }: Given) {
  useEffect(() => {
    document.title = `${title} · Tidegate`;
    return () => {
      document.title = "Tidegate";
    };
  }, [title]);
  return (
    <div id="content">
      <header className="page-head">
        <div>
          <h1>{title}</h1>
          {hint && <p className="faint">{hint}</p>}
        </div>
        {actions && <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}
