// SPDX-License-Identifier: Apache-2.0
// The theme: the system's, or the one that the user has chosen here. This is a plain script,
// because it has to run before the page is painted, and a module runs later.
(() => {
	const choices = ['system', 'light', 'dark'];
	const root = document.documentElement;

	function read() {
		try {
			const kept = localStorage.getItem('theme');
			return choices.includes(kept) ? kept : 'system';
		} catch {
			// the browser forbids storage: the choice lasts as long as the page
			return 'system';
		}
	}

	function apply(theme) {
		if (theme === 'system')
			delete root.dataset.theme;
		else
			root.dataset.theme = theme;
	}

	let theme = read();
	apply(theme);
	document.addEventListener('DOMContentLoaded', () => {
		const button = document.getElementById('theme');
		const label = () => {
			button.textContent = `Theme: ${theme}`;
		};

		label();
		button.addEventListener('click', () => {
			theme = choices[(choices.indexOf(theme) + 1) % choices.length];
			apply(theme);
			label();
			try {
				localStorage.setItem('theme', theme);
			} catch {
				// as above
			}
		});
	});
})();
